"""Perplexity against length: the loss of the same last tokens under ever longer contexts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field
from torch.nn import functional as F

from lampe.errors import ConfigError
from lampe.evaluation.base import Outcome, Sample, Task, TaskConfig, registry
from lampe.evaluation.prose import Prose
from lampe.evaluation.runner import Runner
from lampe.tokenizers import Tokenizer


@registry.register("perplexity", summary="loss of the last tokens of a text under contexts of growing length")
class Perplexity(Task):
    """The loss of the last k tokens of a context of N tokens, in nats a token.

    Contexts of all lengths end at the same places, so the same tokens are scored at every length and only what comes
    before them grows. Each context has a plan for its own length. The figure of several places is the exponential of
    their mean loss.
    """

    class Config(TaskConfig):
        """The fields of perplexity.

        Attributes:
            text: a file, or a folder of .txt files; None is Python's documentation.
            tokens: k, the last tokens, which are scored.
            places: at how many places of the text contexts end.
        """

        kind: Literal["perplexity"] = "perplexity"
        text: str | None = None
        tokens: int = Field(default=256, ge=1)
        places: int = Field(default=4, ge=1)

    higher_is_better = False

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        shortest, longest = min(lengths), max(lengths)
        if shortest <= self.config.tokens:
            raise ConfigError(
                f"task 'perplexity': a context of {shortest} tokens is too short to score the last "
                f"{self.config.tokens}; it needs at least {self.config.tokens + 1}"
            )
        prose = Prose.load(self.config.text, tokenizer)
        for place, end in enumerate(prose.ends(longest, self.config.places, apart=self.config.tokens)):
            for length in lengths:
                yield Sample(self, length, place, prose.context(end, length), {"place": place, "end": end})

    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        import torch

        k = self.config.tokens
        logits = runner.logits(sample.ids, last=k + 1, shared=sample.shared)[:-1]
        targets = torch.tensor(sample.ids[-k:], device=logits.device)
        return Outcome(float(F.cross_entropy(logits.float(), targets)))

    @classmethod
    def figure(cls, mean: float) -> float:
        """Perplexity: the exponential of the mean loss."""
        return math.exp(mean) if mean < 700 else math.inf

    @classmethod
    def shown(cls, figure: float) -> str:
        if figure < 100:
            return f"{figure:.2f}"
        return f"{figure:,.0f}" if figure < 1e6 else f"{figure:.1e}"
