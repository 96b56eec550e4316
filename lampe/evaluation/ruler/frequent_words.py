"""RULER's frequent words extraction."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator
from random import Random
from typing import Literal

from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest
from lampe.evaluation.ruler.base import PAPER, RulerTask

BEFORE = (
    "Read the following coded text and track the frequency of each coded word. "
    "Find the three most frequently appeared coded words. "
)
QUESTION = (
    "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. "
    "What are the three most frequently appeared words in the above coded text?"
)
ANSWER = " Answer: According to the coded text above, the three most frequently appeared words are:"
DOTS = "..."
LETTERS = 6
TOKENS_PER_WORD = 50
ASKED = 3
FEWEST = 53
"""From so many words on the third coded word comes more often than the fourth."""


@registry.register("fwe", summary="the three most frequent of many coded words (RULER)", paper=PAPER)
class FrequentWords(RulerTask):
    """Coded words whose numbers fall off as Zipf's law with exponent 2: which three are the most frequent?

    Of n words, the one of rank k is there n / (zeta(2) k^2) times, rounded down. The first rank is "..."; the next
    three are asked for. There is a different coded word for every 50 tokens of the prompt.
    """

    class Config(GeneratedConfig):
        """The fields of fwe."""

        kind: Literal["fwe"] = "fwe"

    new_tokens = 50

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        words = [DOTS, *_coded(draws, max(length // TOKENS_PER_WORD, ASKED + 2) - 1)]

        def listed(size: int) -> list[str]:
            return [word for word, count in zip(words, _counts(size, len(words)), strict=True) for _ in range(count)]

        def prompt(text: list[str]) -> list[int]:
            return prompts.encode(BEFORE + " ".join(text) + QUESTION, ANSWER)

        # A word has the same tokens wherever it stands, so the order does not matter to the size.
        size = largest(lambda size: len(prompt(listed(size))), length, least=FEWEST, task=self.config.kind)
        text = listed(size)
        draws.shuffle(text)
        counts = ", ".join(map(str, _counts(size, len(words))[1 : ASKED + 1]))
        facts: dict[str, Fact] = {"counts": counts, "words": len(set(text) - {DOTS})}
        yield self.sample(prompts, length, trial, prompt(text), words[1 : ASKED + 1], facts)


def _coded(draws: Random, count: int) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(draws.choices(string.ascii_lowercase, k=LETTERS))] = None
    return list(words)


def _counts(size: int, words: int) -> list[int]:
    """How often each word comes, by rank, of `size` words of an endless vocabulary."""
    zeta = math.pi**2 / 6
    return [int(size / (zeta * rank**2)) for rank in range(1, words + 1)]
