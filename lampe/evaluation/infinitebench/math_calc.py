"""InfiniteBench's Math.Calc: every intermediate value of a long sum."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, InfiniteBenchTask
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest

HIGHEST = 99


@registry.register("infinitebench-math-calc", summary="all intermediate values of a long expression", paper=PAPER)
class MathCalc(InfiniteBenchTask):
    """Math.Calc: an expression of additions and subtractions whose values all lie from 0 to 99.

    The score is the share of the values that come before the first wrong one. Officially an answer may have 30,000
    tokens; here at most as many as the whole right answer has, for more of them score nothing.
    """

    class Config(GeneratedConfig):
        """The fields of infinitebench-math-calc."""

        kind: Literal["infinitebench-math-calc"] = "infinitebench-math-calc"

    dataset = "math_calc"

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        values = [draws.randint(0, HIGHEST)]
        terms = [str(values[0])]

        def prompt(operators: int) -> list[int]:
            while len(terms) <= operators:
                sign, value = step(values[-1], draws)
                terms.append(f"{sign} {abs(value - values[-1])}")
                values.append(value)
            return prompts.encode(*self.rules.fill(context=" ".join(terms[: operators + 1])))

        operators = largest(lambda count: len(prompt(count)), length, task=self.config.kind)
        right = values[: operators + 1]
        new_tokens = self.config.max_new_tokens or min(self.rules.new_tokens, prompts.count(f" {right}"))
        references = tuple(map(str, right[1:]))
        facts = {"operators": operators}
        yield Sample(self, length, trial, prompt(operators), facts, references, new_tokens, templated=prompts.templated)


def step(value: int, draws: Random) -> tuple[str, int]:
    """The next operator and the value after it; a number that would lead out of the range is drawn anew."""
    number = draws.randint(0, HIGHEST)
    if draws.random() > 0.5:
        return "+", value + (number if value + number <= HIGHEST else draws.randint(0, HIGHEST - value))
    return "-", value - (number if number <= value else draws.randint(0, value))
