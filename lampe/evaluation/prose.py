"""A long text as tokens: places in it where contexts end, and tokens at which a sentence ends."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lampe.errors import ConfigError
from lampe.evaluation.texts import documents, read_text
from lampe.tokenizers import Tokenizer

BREAK = re.compile(r"""[.!?]["”’')\]]*(?=\s)|[。！？।][”’」』）】]*|(?<=\S)(?=\s*\n\s*\n)""")
"""Ends where a sentence or a paragraph ends, before the white space that follows (Chinese has none there)."""


@dataclass(frozen=True)
class Prose:
    """A tokenised text.

    Attributes:
        name: of the file it came from, or of the text that needs no file (`texts.NAMED`).
        text: what the ids say.
        ids: token ids, without what the tokenizer adds.
        prefix: what the tokenizer puts before any text (BOS), which every context begins with.
        breaks: ascending token counts after which a sentence or a paragraph is complete.
    """

    text: str
    ids: tuple[int, ...]
    prefix: tuple[int, ...]
    breaks: tuple[int, ...]
    name: str = ""

    @classmethod
    def documents(cls, sources: str | Sequence[str] | None, tokenizer: Tokenizer) -> list[Prose]:
        """Tokenise a text by its name, a file, every .txt file of a folder, or several of these, each by itself.

        Raises:
            ConfigError: a text cannot be read.
        """
        if sources is None:
            return [cls.load(None, tokenizer)]
        named = [text for source in ([sources] if isinstance(sources, str) else sources) for text in documents(source)]
        return [cls.of(text, tokenizer, name=name) for name, text in named]

    @classmethod
    def load(cls, source: str | None, tokenizer: Tokenizer) -> Prose:
        """Tokenise a text by its name, a file or a folder; None is "python", the language reference.

        Raises:
            ConfigError: the text cannot be read.
        """
        source = "python" if source is None else source
        return cls.of(read_text(source), tokenizer, name=Path(source).name)

    @classmethod
    def of(cls, text: str, tokenizer: Tokenizer, *, name: str = "") -> Prose:
        """Tokenise a text."""
        ids = tokenizer.encode(text, add_special=False)
        stream = tokenizer.stream(skip_special=False)
        written = 0
        after: dict[int, int] = {}
        for count, token in enumerate(ids, start=1):
            written += len(stream.push(token))
            # A token that only begins a code point writes nothing: the sentence was complete before it.
            after.setdefault(written, count)
        ends = {match.end() for match in BREAK.finditer(text)}
        breaks = (count for position, count in after.items() if position in ends)
        return cls(text, tuple(ids), _prefix(tokenizer), tuple(breaks), name)

    def repeated(self, tokens: int, tokenizer: Tokenizer) -> Prose:
        """The same text as often as gives so many tokens with the prefix: a haystack, nothing to measure loss on."""
        times = -(-tokens // max(len(self.ids), 1))
        whole = len(self.prefix) + len(self.ids) >= tokens
        return self if whole else Prose.of("\n\n".join([self.text] * (times + 1)), tokenizer, name=self.name)

    def context(self, end: int, length: int) -> tuple[int, ...]:
        """`length` tokens that end with the text's token `end - 1`; the prefix is among them."""
        return self.prefix + self.ids[end - (length - len(self.prefix)) : end]

    def ends(self, longest: int, places: int, *, apart: int = 1) -> list[int]:
        """Places spread evenly over the text, at which contexts of up to `longest` tokens can end.

        Args:
            longest: tokens of the longest context.
            places: how many.
            apart: tokens that must lie between two of them.

        Returns:
            For each place, the number of tokens of the text up to it.

        Raises:
            ConfigError: the text is too short for that.
        """
        body = longest - len(self.prefix)
        room = len(self.ids) - body
        if room < places * apart:
            raise ConfigError(
                f"the text has {len(self.ids)} tokens, and contexts of {longest} tokens that end at {places} places "
                f"need {body + places * apart}: give a longer text, shorter contexts or fewer places"
            )
        return [body + room * (2 * place + 1) // (2 * places) for place in range(places)]

    def break_near(self, position: int, first: int, last: int) -> int:
        """The last break up to `position`, else the next one, in (first, last]; `position` where there is none."""
        index = bisect_right(self.breaks, position)
        near = (*self.breaks[max(index - 1, 0) : index], *self.breaks[index : index + 1])
        return next((count for count in near if first < count <= last), position)

    def breaks_from(self, position: int) -> Sequence[int]:
        """The breaks at `position` and after it."""
        return self.breaks[bisect_left(self.breaks, position) :]


def long_enough(documents: Sequence[Prose], tokens: int, task: str) -> list[Prose]:
    """The documents that have so many tokens; warns of those that have not.

    Raises:
        ConfigError: none has.
    """
    kept = [prose for prose in documents if len(prose.prefix) + len(prose.ids) >= tokens]
    short = [f"{prose.name or 'the text'} ({len(prose.ids)} tokens)" for prose in documents if prose not in kept]
    if not kept:
        raise ConfigError(
            f"task {task!r}: {', '.join(short)} is too short; {tokens} tokens are needed: give a longer text, shorter "
            "contexts or fewer places"
        )
    if short:
        warnings.warn(
            f"task {task!r} leaves out {', '.join(short)}: {tokens} tokens are needed", ShortTextWarning, stacklevel=2
        )
    return kept


class ShortTextWarning(UserWarning):
    """A document is too short for the contexts that are wanted of it, and is left out."""


def _prefix(tokenizer: Tokenizer) -> tuple[int, ...]:
    """What the tokenizer puts before a text; it may put something after it too."""
    plain, whole = tokenizer.encode("a", add_special=False), tokenizer.encode("a")
    begin = next(index for index in range(len(whole)) if whole[index : index + len(plain)] == plain)
    return tuple(whole[:begin])
