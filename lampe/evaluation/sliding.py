"""Sliding-window perplexity: every token of a stretch under nearly the same length of context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from lampe.evaluation.base import Fact, Sample, TaskConfig, registry
from lampe.evaluation.perplexity import LastTokensLoss
from lampe.evaluation.prose import Prose, long_enough
from lampe.evaluation.texts import Source
from lampe.tokenizers import Tokenizer


@registry.register(
    "sliding-perplexity",
    summary="loss of the tokens of a text under a window that slides over it",
    paper="https://arxiv.org/abs/2108.12409",
)
class SlidingPerplexity(LastTokensLoss):
    """The loss of the last S tokens of windows of N tokens, each S tokens further on than the one before.

    As PI, YaRN and others report it (Press et al., arXiv 2108.12409, with S = 256): each scored token has N - S to N
    tokens before it. The usual code also scores the first N - S tokens of the first window, whose contexts are shorter;
    here they are not, so a figure is of contexts of its length alone. Windows of all lengths begin where a document
    begins, so other tokens are scored at other lengths: `perplexity` compares lengths on the same ones.
    """

    class Config(TaskConfig):
        """The fields of sliding-perplexity.

        Attributes:
            text: as for `perplexity`.
            stride: S, in tokens.
            windows: how many windows of each document; None is as many as it holds.
        """

        kind: Literal["sliding-perplexity"] = "sliding-perplexity"
        text: Source = None
        stride: int = Field(default=256, ge=1)
        windows: int | None = Field(default=16, ge=1)

    @property
    def scored(self) -> int:
        return int(self.config.stride)

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        self._check(min(lengths))
        stride, wanted = self.config.stride, self.config.windows
        needed = max(lengths) + ((wanted or 1) - 1) * stride
        documents = long_enough(Prose.documents(self.config.text, tokenizer), needed, self.name)
        longest = max(len(prose.prefix) + len(prose.ids) for prose in documents)
        for window in range(wanted or (longest - min(lengths)) // stride + 1):
            for index, prose in enumerate(documents):
                for length in lengths:
                    end = length - len(prose.prefix) + window * stride
                    if end <= len(prose.ids):
                        facts: dict[str, Fact] = {"document": prose.name, "window": window, "end": end}
                        trial = window * len(documents) + index
                        yield Sample(self, length, trial, prose.context(end, length), facts)
