"""InfiniteBench's Code.Run: what a function returns that calls others in turn."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, InfiniteBenchTask
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest

LAYERS = (2, 4, 6, 8, 10)
LEAST_ADDED, MOST_ADDED = -12, 17
LARGEST_ARGUMENT = 10


@registry.register("infinitebench-code-run", summary="the value of a call through several functions", paper=PAPER)
class CodeRun(InfiniteBenchTask):
    """Code.Run: many small functions in layers, each of which calls one of the next layer and adds a number to it.

    A call of the first layer is asked for; 2, 4, 6, 8 and 10 layers take turns. As officially, a function adds -12 to
    17, the argument is -10 to 10, and functions stand in the order of their numbers, which are drawn from twice as many
    as there are functions. So the functions of the call lie anywhere. An answer is right if its last word is the value.
    """

    class Config(GeneratedConfig):
        """The fields of infinitebench-code-run."""

        kind: Literal["infinitebench-code-run"] = "infinitebench-code-run"

    dataset = "code_run"

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        layers = LAYERS[trial % len(LAYERS)]
        room = length // prompts.count("def func_1(x):\n    return func_2(x) + 3\n\n") + layers
        numbers = draws.sample(range(1, 2 * room + 1), 2 * room)
        argument = draws.randint(-LARGEST_ARGUMENT, LARGEST_ARGUMENT)
        # Functions come one of each layer at a time, the last layer first, so that what a function calls is there.
        members: list[list[int]] = [[] for _ in range(layers + 1)]
        written: dict[int, str] = {}
        value = argument

        def add() -> None:
            nonlocal value
            number = numbers[len(written)]
            layer = layers - 1 - len(written) % layers
            inner = f"func_{draws.choice(members[layer + 1])}(x)" if members[layer + 1] else "x"
            added = draws.randint(LEAST_ADDED, MOST_ADDED)
            if len(written) < layers:
                value += added
            members[layer].append(number)
            written[number] = f"def func_{number}(x):\n    return {inner}{term(added)}\n\n"

        def prompt(count: int) -> list[int]:
            while len(written) < count:
                add()
            context = "".join(written[number] for number in sorted(numbers[:count]))
            func = f"func_{numbers[layers - 1]}"
            return prompts.encode(*self.rules.fill(context=context, func=func, call=f"{func}({argument})"))

        count = largest(
            lambda count: len(prompt(count)), length, least=layers, most=len(numbers), task=self.config.kind
        )
        facts = {"layers": layers, "functions": count}
        references = (str(value),)
        yield Sample(
            self, length, trial, prompt(count), facts, references, self.answer_tokens, templated=prompts.templated
        )


def term(added: int) -> str:
    """What a function adds, as its code has it."""
    return f" {'+' if added > 0 else '-'} {abs(added)}" if added else ""
