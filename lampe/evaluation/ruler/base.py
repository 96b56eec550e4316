"""What the tasks of RULER share: the suite, the score, and needles among the lines of a haystack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from lampe.evaluation.base import Fact, Sample
from lampe.evaluation.prompts import GeneratedTask, Prompts
from lampe.evaluation.ruler.scoring import share_found

PAPER = "https://arxiv.org/abs/2404.06654"
NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
FULL = 0.99
"""The share of its length that a prompt has at least, wherever whole lines or documents allow."""


class RulerTask(GeneratedTask):
    """A task of RULER (Hsieh et al., arXiv 2404.06654).

    Its score is the share of the references that the answer contains. Prompts are the official ones, word by word; the
    opening of the answer stands after the header of the assistant's turn. The official lengths include the tokens of
    the answer; here, as everywhere in lampe, a length is that of the prompt.
    """

    suite: ClassVar[str | None] = "ruler"

    def score(self, output: str, sample: Sample) -> float:
        return share_found(output, sample.references)

    def sample(
        self,
        prompts: Prompts,
        length: int,
        trial: int,
        ids: Sequence[int],
        references: Sequence[str],
        facts: Mapping[str, Fact],
        *,
        shared: int = 0,
    ) -> Sample:
        """The sample of a prompt."""
        return Sample(self, length, trial, ids, facts, tuple(references), self.answer_tokens, shared, prompts.templated)


def splice(units: Sequence[str], needles: Iterable[tuple[int, str]], joint: str) -> str:
    """Lines or sentences with needles among them.

    Args:
        units: the lines or sentences.
        needles: for each how many of the units stand before it, and its text. Those of one place keep their order.
        joint: stands between two of them.
    """
    pieces: list[str] = []
    done = 0
    for place, text in sorted(needles, key=lambda needle: needle[0]):
        pieces += [*units[done:place], text]
        done = place
    return joint.join([*pieces, *units[done:]])
