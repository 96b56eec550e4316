"""The space that sentencepiece models put before a text, and how they write spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lampe.errors import TokenizerError
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.tokenizer_json import NAME, ByteLevelDecoder, Metaspace, Prepend, Replace, Strip, TokenizerJson

SPACE = "▁"


@dataclass(frozen=True)
class SpaceRule:
    """The space that encoding puts before a text, and decoding takes away.

    Attributes:
        before: every stretch of text between added tokens, the first one only, or none.
        doubles: a text that starts with a space gets one more, as sentencepiece itself does.
        strips: decoding drops one space at the start.
    """

    before: Literal["every", "first", "none"]
    doubles: bool
    strips: bool

    @classmethod
    def from_config(cls, files: TokenizerFiles, *, model_adds: bool) -> SpaceRule:
        """The rule of transformers' LlamaTokenizer, whose `legacy` is true where a config does not speak of it.

        Args:
            model_adds: whether the sentencepiece model itself puts a space before a text.
        """
        config = files.json("tokenizer_config.json")
        adds = config.get("add_prefix_space")
        if not (model_adds if adds is None else adds):
            return cls("none", doubles=False, strips=False)
        if config.get("legacy") in (None, True):
            return cls("every", doubles=True, strips=True)
        return cls("first", doubles=False, strips=True)

    @classmethod
    def from_json(cls, document: TokenizerJson) -> SpaceRule:
        """The rule that a tokenizer.json states.

        Raises:
            TokenizerError: a normalizer, pre-tokenizer or decoder is not one of a sentencepiece model.
        """
        prepends = _prepends(document)
        splits = document.pre_tokenizers
        for split in splits:
            if not isinstance(split, Metaspace) or split.split or prepends is not None or len(splits) > 1:
                raise TokenizerError(
                    f"{NAME}: pre_tokenizer {split.type} is not supported here; accepted: ByteLevel, or one Metaspace "
                    "with split = false, or the normalizers Prepend and Replace without a pre_tokenizer"
                )
        if any(isinstance(step, ByteLevelDecoder) for step in document.decoders):
            raise TokenizerError(f"{NAME}: decoder ByteLevel needs the pre_tokenizer ByteLevel")
        strips = any(isinstance(step, Strip) and step.start for step in document.decoders)
        if splits and isinstance(splits[0], Metaspace):
            scheme = splits[0].prepend_scheme
            before: Literal["every", "first", "none"] = (
                "every" if scheme == "always" else "first" if scheme == "first" else "none"
            )
            return cls(before, doubles=False, strips=strips)
        if prepends is None:
            raise TokenizerError(f"{NAME}: neither a normalizer nor a pre_tokenizer turns spaces into {SPACE!r}")
        return cls("every" if prepends else "none", doubles=prepends, strips=strips)

    def apply(self, text: str, at_start: bool) -> str:
        """The text with its space."""
        if self.before == "none" or (self.before == "first" and not at_start):
            return text
        return text if not self.doubles and text.startswith((" ", SPACE)) else " " + text


def _prepends(document: TokenizerJson) -> bool | None:
    """Whether the normalizers put a space before the text; None if they do not deal with spaces at all."""
    steps = document.normalizers
    for step in steps:
        replaces_spaces = isinstance(step, Replace) and (step.pattern.String, step.content) == (" ", SPACE)
        if not replaces_spaces and not isinstance(step, Prepend):
            raise TokenizerError(f"{NAME}: normalizer {step.type} is not one of a sentencepiece model")
    if not any(isinstance(step, Replace) for step in steps):
        return None
    return any(isinstance(step, Prepend) for step in steps)
