"""InfiniteBench's Retrieve.PassKey and Retrieve.Number: digits hidden among the same line again and again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from random import Random
from typing import ClassVar, Literal

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, InfiniteBenchTask, place
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n"


class NoiseTask(InfiniteBenchTask):
    """Digits hidden in as many lines of noise as fit."""

    needle: ClassVar[str]
    question: ClassVar[str]

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        key = self.key(draws)
        needle = self.needle.format(key=key)

        def prompt(lines: int) -> list[int]:
            before = round(place(trial) * lines)
            context = NOISE * before + needle + NOISE * (lines - before)
            return prompts.encode(*self.rules.fill(context=context, input=self.question))

        lines = largest(lambda count: len(prompt(count)), length, task=self.config.kind)
        facts = {"depth": round(round(place(trial) * lines) / lines, 3)}
        yield Sample(self, length, trial, prompt(lines), facts, (key,), self.answer_tokens, templated=prompts.templated)

    @abstractmethod
    def key(self, draws: Random) -> str:
        """The digits."""


@registry.register("infinitebench-passkey", summary="five digits hidden in noise", paper=PAPER)
class InfinitePasskey(NoiseTask):
    """Retrieve.PassKey: five digits. An answer is right if its first number is the key."""

    class Config(GeneratedConfig):
        """The fields of infinitebench-passkey."""

        kind: Literal["infinitebench-passkey"] = "infinitebench-passkey"

    dataset = "passkey"
    needle = "The pass key is {key}. Remember it. {key} is the pass key.\n"
    question = "What is the pass key?"

    def key(self, draws: Random) -> str:
        return "".join(str(draws.randint(0, 9)) for _ in range(5))


@registry.register("infinitebench-number-string", summary="ten digits, some repeated, hidden in noise", paper=PAPER)
class NumberString(NoiseTask):
    """Retrieve.Number: ten digits, five of them drawn and five that repeat their neighbour."""

    class Config(GeneratedConfig):
        """The fields of infinitebench-number-string."""

        kind: Literal["infinitebench-number-string"] = "infinitebench-number-string"

    dataset = "number_string"
    needle = "The sequence of digits is {key}. Remember it. {key} is the sequence of digits.\n"
    question = "What is the sequence of digits?"

    def key(self, draws: Random) -> str:
        digits = [str(draws.randint(0, 9)) for _ in range(5)]
        while len(digits) < 10:
            index = draws.randrange(len(digits))
            digits.insert(index, digits[index])
        return "".join(digits)
