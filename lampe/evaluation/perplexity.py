"""Perplexity against length: the loss of the same last tokens under ever longer contexts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field
from torch.nn import functional as F

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Outcome, Sample, Task, TaskConfig, registry
from lampe.evaluation.prose import Prose, long_enough
from lampe.evaluation.runner import Runner
from lampe.evaluation.texts import Source
from lampe.tokenizers import Tokenizer


class LastTokensLoss(Task):
    """A task whose score is the loss of the last tokens of a context, in nats a token; the figure is the perplexity."""

    higher_is_better = False
    unit = "perplexity"

    @property
    def scored(self) -> int:
        """How many last tokens are scored."""
        raise NotImplementedError

    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        import torch

        k = self.scored
        logits = runner.logits(sample.ids, last=k + 1, shared=sample.shared)[:-1]
        targets = torch.tensor(list(sample.ids[-k:]), device=logits.device)
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

    def _check(self, shortest: int) -> None:
        if shortest <= self.scored:
            raise ConfigError(
                f"task {self.name!r}: a context of {shortest} tokens is too short to score the last {self.scored}; it "
                f"needs at least {self.scored + 1}"
            )


@registry.register("perplexity", summary="loss of the last tokens of a text under contexts of growing length")
class Perplexity(LastTokensLoss):
    """The loss of the last k tokens of a context of N tokens, in nats a token.

    Contexts of all lengths end at the same places, so the same tokens are scored at every length and only what comes
    before them grows. Each context has a plan for its own length. The figure of several places and documents is the
    exponential of their mean loss.
    """

    class Config(TaskConfig):
        """The fields of perplexity.

        Attributes:
            text: a file, a folder of .txt files, each of them a document, a name (python, python-library), or several
                of these; None is "python", the language reference. A document too short for the longest context is
                left out, with a warning.
            tokens: k, the last tokens, which are scored.
            places: at how many places of each document contexts end.
        """

        kind: Literal["perplexity"] = "perplexity"
        text: Source = None
        tokens: int = Field(default=256, ge=1)
        places: int = Field(default=4, ge=1)

    @property
    def scored(self) -> int:
        return int(self.config.tokens)

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        self._check(min(lengths))
        places, apart, longest = self.config.places, self.config.tokens, max(lengths)
        documents = long_enough(Prose.documents(self.config.text, tokenizer), longest + places * apart, self.name)
        ends = [prose.ends(longest, places, apart=apart) for prose in documents]
        for place in range(places):
            for index, prose in enumerate(documents):
                end = ends[index][place]
                facts: dict[str, Fact] = {"document": prose.name, "place": place, "end": end}
                for length in lengths:
                    yield Sample(self, length, place * len(documents) + index, prose.context(end, length), facts)
