"""Cutting a text into the pre-tokens that byte-pair merges never cross."""

from __future__ import annotations

from collections.abc import Sequence

import regex  # type: ignore[import-untyped]

from lampe.errors import TokenizerError

# The patterns are those of the published tokenizers: GPT-2 (tokenizers' ByteLevel), Llama 3 and Qwen.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")


class Splitter:
    """Applies one pattern after another, each to every piece the one before left.

    tiktoken can only take one pattern, and gives up on a run of a million blanks; the `regex` library that it brings
    does neither.
    """

    def __init__(self, patterns: Sequence[str]):
        """Args:
            patterns: each match is a piece of its own, and so is what lies between two matches.

        Raises:
            TokenizerError: a pattern does not compile, or has a capturing group.
        """
        self._patterns = []
        for pattern in patterns:
            try:
                compiled = regex.compile(f"({pattern})")
            except regex.error as error:
                raise TokenizerError(f"the split pattern {pattern!r} does not compile: {error}") from None
            if compiled.groups != 1:
                raise TokenizerError(f"the split pattern {pattern!r} has a capturing group; write (?:...) instead")
            self._patterns.append(compiled)

    def split(self, text: str) -> list[str]:
        """The pieces, which concatenate to `text`."""
        pieces = [text]
        for pattern in self._patterns:
            pieces = [part for piece in pieces for part in pattern.split(piece) if part]
        return pieces
