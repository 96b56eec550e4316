"""What needles are hidden in: repeated noise, other needles, or prose."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random
from typing import ClassVar

from lampe.evaluation.prose import BREAK
from lampe.evaluation.ruler.base import NOISE

DEPTHS = tuple(round(100 * step / 39) / 100 for step in range(40))
"""The 40 evenly spaced depths, in whole per cent, of needles in prose."""


class Haystack(ABC):
    """A source of lines or sentences, as many as a prompt has room for."""

    joint: ClassVar[str]
    text: str = ""
    """What no needle may say already."""

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
    """The sentences of a text from its beginning, which follows itself where it is too short. The last may be cut."""

    joint = " "

    def __init__(self, text: str):
        words = text.split()
        self.text = " ".join(words)
        ends = [match.end() for match in BREAK.finditer(self.text)]
        self._sentences = [
            self.text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, len(self.text)], strict=True)
        ]
        self._sentences = [sentence for sentence in self._sentences if sentence]
        self._ends: list[int] = []
        for sentence in self._sentences:
            self._ends.append((self._ends[-1] if self._ends else 0) + len(re.findall(r"\S+", sentence)))

    def units(self, size: int) -> Sequence[str]:
        rounds, words = divmod(size, self._ends[-1])
        whole = bisect_right(self._ends, words)
        rest = words - (self._ends[whole - 1] if whole else 0)
        cut = [" ".join(self._sentences[whole].split()[:rest])] if rest else []
        return [*self._sentences * rounds, *self._sentences[:whole], *cut]

    def depths(self, draws: Random, count: int) -> list[float]:
        return draws.sample(DEPTHS, count)
