"""Passkey retrieval: a number hidden in a long text, and asked for at its end."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Outcome, Sample, Task, TaskConfig, registry
from lampe.evaluation.prose import Prose
from lampe.evaluation.runner import Runner
from lampe.tokenizers import Tokenizer

NEEDLE = "\n\nThe pass key is {key}. Remember it. {key} is the pass key."
QUESTION = "\n\nThe pass key is"


@registry.register(
    "passkey",
    summary="a number hidden in a long text, at several depths",
    paper="https://arxiv.org/abs/2305.16300",
)
class Passkey(Task):
    """Passkey retrieval (Mohtashami and Jaggi, arXiv 2305.16300; as in Chen et al., arXiv 2306.15595, figure 3).

    A prompt is prose, the sentences that tell the key, prose again and the opening of a sentence that asks for it, and
    has exactly as many tokens as its length says. Prose is cut where a sentence ends; after the key some sentences are
    skipped, as many as let the last one be whole too. An answer is right if its first number is the key.

    The papers ask "What is the pass key?" before that sentence. After technical prose a small model answers with a
    definition instead: SmolLM2-135M-Instruct, at 4,096 tokens of its 8,192, finds 2 of 6 keys with it and 6 without.

    Prompts of one place and length begin with the same tokens, those of a perplexity context that ends there, and part
    at the key, so a runner reads what comes before it once.
    """

    class Config(TaskConfig):
        """The fields of passkey.

        Attributes:
            text: a file, a folder of .txt files, or a name (python, python-library); None is "python", the language
                reference. What is too short is repeated.
            depths: where the key is hidden; 0 is the beginning of the prose, 1 its end.
            places: in how many stretches of the text keys are hidden.
            keys: how many keys are hidden in each of them, one at a time.
            digits: of a key.
            seed: of the keys.
            max_new_tokens: how long an answer may be.
        """

        kind: Literal["passkey"] = "passkey"
        text: str | None = None
        depths: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(0.1, 0.5, 0.9), min_length=1)
        places: int = Field(default=2, ge=1)
        keys: int = Field(default=5, ge=1)
        digits: int = Field(default=5, ge=2, le=12)
        seed: int = 0
        max_new_tokens: int = Field(default=12, ge=1)

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        needed = max(lengths) + self.config.places
        prose = Prose.load(self.config.text, tokenizer).repeated(needed, tokenizer)
        question = tuple(tokenizer.encode(QUESTION, add_special=False))
        wanted, digits, seed = self.config.places * self.config.keys, self.config.digits, self.config.seed
        keys = draw_keys(prose.text, wanted, digits=digits, seed=seed, task=self.name)
        for place, end in enumerate(prose.ends(max(lengths), self.config.places)):
            chosen = [next(keys) for _ in range(self.config.keys)]
            needles = {key: tuple(tokenizer.encode(NEEDLE.format(key=key), add_special=False)) for key in chosen}
            for length in lengths:
                for depth in sorted(self.config.depths):
                    for key, needle in needles.items():
                        ids, at = hide(prose, end, length, depth, needle, question, task=self.name)
                        facts = {"place": place, "depth": depth, "at": at, "key": key}
                        shared = at if self.config.keys > 1 else 0
                        yield Sample(self, length, place, ids, facts, (key,), self.config.max_new_tokens, shared)

    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        answer = runner.answer(sample)
        return Outcome(float(first_number(answer) in sample.references), answer)

    @classmethod
    def show(cls, scores: Sequence[float]) -> str:
        return f"{sum(scores):.0f}/{len(scores)}"


def draw_keys(text: str, wanted: int, *, digits: int, seed: int, task: str) -> Iterator[str]:
    """Different random numbers that a text does not hold.

    Raises:
        ConfigError: there are fewer than were wanted.
    """
    draws = random.Random(seed)
    used: set[str] = set()
    lowest = 10 ** (digits - 1)
    while len(used) < 9 * lowest:
        key = str(draws.randrange(lowest, 10 * lowest))
        if key not in used and key not in text:
            yield key
        used.add(key)
    raise ConfigError(
        f"task {task!r}: the text leaves too few numbers of {digits} digits for {wanted} keys; raise digits"
    )


def hide(
    prose: Prose, end: int, length: int, depth: float, needle: tuple[int, ...], question: tuple[int, ...], *, task: str
) -> tuple[tuple[int, ...], int]:
    """A prompt of `length` tokens that begins with those of `prose.context(end, length)`.

    Args:
        end: where that context ends, in tokens of the text.
        depth: fraction of the prose that stands before the needle, about; the needle follows a whole sentence.
        question: what the prompt ends with.
        task: whose prompt it is, for the error.

    Returns:
        The prompt, and the index of the needle in it.

    Raises:
        ConfigError: needle and question leave no room for prose.
    """
    size = length - len(prose.prefix) - len(needle) - len(question)
    if size < 1:
        raise ConfigError(
            f"task {task!r}: a prompt of {length} tokens has no room for prose; the key and the question take "
            f"{length - size}"
        )
    start = end - (length - len(prose.prefix))
    cut = prose.break_near(start + round(depth * size), start, start + size)
    rest = size - (cut - start)
    again = _resume(prose, cut, rest)
    before = prose.prefix + prose.ids[start:cut]
    return before + needle + prose.ids[again : again + rest] + question, len(before)


def _resume(prose: Prose, cut: int, rest: int) -> int:
    """The first break from `cut` on whose `rest`-th token ends a sentence too, or `cut` where there is none."""
    breaks = prose.breaks_from(cut)
    ends = set(breaks)
    return next((begin for begin in breaks if begin + rest in ends), cut)


def first_number(text: str) -> str | None:
    """The first run of digits in a text."""
    match = re.search(r"\d+", text)
    return match.group() if match else None
