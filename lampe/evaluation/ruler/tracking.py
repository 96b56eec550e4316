"""RULER's variable tracking."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Literal

from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest
from lampe.evaluation.ruler.base import NOISE, PAPER, RulerTask, splice

BEFORE = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
QUESTION = "\nQuestion: Find all variables that are assigned the value {value} in the text above."
ANSWER = (
    " Answer: According to the chain(s) of variable assignment in the text above, "
    "{count} variables are assigned the value {value}, they are: "
)
HOPS = 4
NAME_LETTERS, EXAMPLE_NAME_LETTERS = 5, 3
EXAMPLE_LINES = 10


@registry.register("vt", summary="all variables that were assigned one value, one from another (RULER)", paper=PAPER)
class VariableTracking(RulerTask):
    """A value passes from a variable to four others, one after another, in repeated noise: which variables have it?

    A solved example of ten lines, with names of three letters, comes first. Officially it has as many lines, in steps
    of five, as make at most 500 tokens, which is ten where a line has 25. The prompts are those of the repository's
    main branch; older ones say "assgined" where the answer begins.
    """

    class Config(GeneratedConfig):
        """The fields of vt."""

        kind: Literal["vt"] = "vt"

    new_tokens = 30

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        # As officially, 99999 is left out.
        example_value, value = (str(number) for number in draws.sample(range(10000, 99999), 2))
        example_names = _names(draws, EXAMPLE_NAME_LETTERS)
        names = _names(draws, NAME_LETTERS)
        example = _text(example_value, example_names, _places(draws.random(), EXAMPLE_LINES), EXAMPLE_LINES)
        example += f"{_answer(example_value)} {' '.join(example_names)}\n\n"
        chance = draws.random()

        def prompt(lines: int) -> list[int]:
            return prompts.encode(example + _text(value, names, _places(chance, lines), lines), _answer(value))

        lines = largest(lambda lines: len(prompt(lines)), length, least=HOPS + 1, task=self.config.kind)
        depths = [round(place / lines, 4) for place in _places(chance, lines)]
        facts: dict[str, Fact] = {"value": value, "depths": ", ".join(map(str, depths))}
        yield self.sample(prompts, length, trial, prompt(lines), names, facts)


def _names(draws: Random, letters: int) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < HOPS + 1:
        names["".join(draws.choices(string.ascii_uppercase, k=letters))] = None
    return list(names)


def _places(chance: float, lines: int) -> list[int]:
    """Before which of the lines the assignments stand: always the same for one chance and number of lines."""
    return sorted(Random(chance).sample(range(lines), HOPS + 1))


def _text(value: str, names: Sequence[str], places: Sequence[int], lines: int) -> str:
    """What the user says: the noise with the assignments in it, and the question."""
    # The space at the end of an assignment is official.
    passed = [f"VAR {name} = VAR {before} " for before, name in pairwise(names)]
    needles = zip(places, [f"VAR {names[0]} = {value}", *passed], strict=True)
    return BEFORE + splice([NOISE] * lines, needles, "\n") + QUESTION.format(value=value)


def _answer(value: str) -> str:
    return ANSWER.format(count=HOPS + 1, value=value)
