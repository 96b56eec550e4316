"""InfiniteBench's Math.Find: the largest, smallest or median of a long list of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from statistics import median
from typing import Literal

from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, InfiniteBenchTask
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest

HIGHEST = 99
FEWEST = 10
ASKED = (
    "largest number",
    "second largest number",
    "third largest number",
    "smallest number",
    "second smallest number",
    "third smallest number",
    "median number",
)
INPUT = "You should answer with only one number, no other words. "


@registry.register("infinitebench-math-find", summary="an extreme or the median of a long list", paper=PAPER)
class MathFind(InfiniteBenchTask):
    """Math.Find: a list of numbers from 0 to 99, and one of seven of them asked for, in turn.

    As officially, the list ends a drawn distance, up to a fifth of the range, before the end that is asked for, so that
    the answer is not known beforehand; for the median it does so at either end. Second and third count values, not
    places: [9, 9, 8] has the second largest number 8. The median of an even number of values is written as 50.0. An
    answer is right if its first number is the one.
    """

    class Config(GeneratedConfig):
        """The fields of infinitebench-math-find."""

        kind: Literal["infinitebench-math-find"] = "infinitebench-math-find"

    dataset = "math_find"

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        asked = ASKED[trial % len(ASKED)]
        low, high = 0, HIGHEST
        if "largest" in asked or ("median" in asked and draws.random() < 0.5):
            high = draws.randint(int(0.8 * HIGHEST), HIGHEST)
        else:
            low = draws.randint(0, int(0.2 * HIGHEST))
        numbers: list[int] = []

        def prompt(count: int) -> list[int]:
            numbers.extend(draws.randint(low, high) for _ in range(len(numbers), count))
            prefix, opening = f"What is the {asked} in the following list?", f"The {asked} of the list is: "
            context = str(numbers[:count])
            return prompts.encode(*self.rules.fill(prefix=prefix, context=context, input=INPUT, opening=opening))

        count = largest(lambda count: len(prompt(count)), length, least=FEWEST, task=self.config.kind)
        facts: dict[str, Fact] = {"asked": asked, "numbers": count}
        references = (find(asked, numbers[:count]),)
        yield Sample(
            self, length, trial, prompt(count), facts, references, self.answer_tokens, templated=prompts.templated
        )


def find(asked: str, numbers: Sequence[int]) -> str:
    """The number that is asked for, as the official labels write it."""
    if "median" in asked:
        return str(median(numbers) if len(numbers) % 2 else float(median(numbers)))
    rank = 1 if "second" in asked else 2 if "third" in asked else 0
    return str(sorted(set(numbers), reverse="largest" in asked)[rank])
