"""What needles are hidden in: repeated noise, other needles, or prose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import ClassVar

from lampe.evaluation.prose import BREAK
from lampe.evaluation.ruler.base import NOISE

DEPTHS = tuple(round(100 * step / 39) / 100 for step in range(40))
"""The 40 evenly spaced depths, in whole per cent, of needles in prose."""


class Haystack(ABC):
    """A source of lines or sentences, as many as a prompt has room for."""

    joint: ClassVar[str]
    """Stands between two of them."""

    @abstractmethod
    def units(self, size: int) -> Sequence[str]:
        """The lines or sentences of so many lines or words."""

    @abstractmethod
    def depths(self, draws: Random, count: int) -> list[float]:
        """Where needles stand."""


class Lines(Haystack):
    """Lines: one sentence again and again, or each one made anew.

    Args:
        line: makes the next line.
    """

    joint = "\n"

    def __init__(self, line: Callable[[], str] = lambda: NOISE):
        self._line = line
        self._lines: list[str] = []

    def units(self, size: int) -> Sequence[str]:
        while len(self._lines) < size:
            self._lines.append(self._line())
        return self._lines[:size]

    def depths(self, draws: Random, count: int) -> list[float]:
        return [draws.random() for _ in range(count)]


class Essay(Haystack):
    """The sentences of a text from its beginning, which follows itself where it is too short. The last may be cut.

    Attributes:
        text: on one line.
    """

    joint = " "

    def __init__(self, text: str):
        self.text = " ".join(text.split())
        ends = [match.end() for match in BREAK.finditer(self.text)]
        pieces = (self.text[begin:end].strip() for begin, end in pairwise([0, *ends, len(self.text)]))
        self._sentences = [piece for piece in pieces if piece]
        self._ends = list(accumulate(len(sentence.split()) for sentence in self._sentences))

    def units(self, size: int) -> Sequence[str]:
        rounds, words = divmod(size, self._ends[-1])
        whole = bisect_right(self._ends, words)
        rest = words - (self._ends[whole - 1] if whole else 0)
        cut = [" ".join(self._sentences[whole].split()[:rest])] if rest else []
        return [*self._sentences * rounds, *self._sentences[:whole], *cut]

    def depths(self, draws: Random, count: int) -> list[float]:
        return draws.sample(DEPTHS, count)
