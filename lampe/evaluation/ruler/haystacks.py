"""What needles are hidden in: repeated noise, other needles, or prose."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random

from lampe.evaluation.prose import BREAK
from lampe.evaluation.ruler.base import NOISE, splice

DEPTHS = tuple(round(100 * step / 39) / 100 for step in range(40))
"""The 40 evenly spaced depths, in whole per cent, of needles in prose."""

CJK = r"\u3001-\u9fff\uf900-\ufaff\uff01-\uffee\U00020000-\U0003ffff"
WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
"""A word, or a character of a script that writes none apart."""
END = re.compile(rf"""{BREAK.pattern}|[。！？｡][」』”’）】》〉]*""")
"""Ends where a sentence ends; after a Chinese or Japanese one no white space follows."""

SENTENCE, PASSAGE, PART = 100, 250, 20
"""In words: no sentence has more than 250, one of more than 100 is rare, and most have about 20."""


class Haystack(ABC):
    """A source of lines or sentences, as many as a prompt has room for."""

    @abstractmethod
    def units(self, size: int) -> Sequence[str]:
        """The lines or sentences of so many lines or words."""

    @abstractmethod
    def hide(self, size: int, needles: Sequence[tuple[float, str]]) -> str:
        """A text of so many lines or words, with each needle behind the share of its units that its depth says."""

    @abstractmethod
    def depths(self, draws: Random, count: int) -> list[float]:
        """Where needles stand."""


class Lines(Haystack):
    """Lines: one sentence again and again, or each one made anew.

    Args:
        line: makes the next line.
    """

    def __init__(self, line: Callable[[], str] = lambda: NOISE):
        self._line = line
        self._lines: list[str] = []

    def units(self, size: int) -> Sequence[str]:
        while len(self._lines) < size:
            self._lines.append(self._line())
        return self._lines[:size]

    def hide(self, size: int, needles: Sequence[tuple[float, str]]) -> str:
        units = self.units(size)
        return splice(units, _placed(needles, units), "\n")

    def depths(self, draws: Random, count: int) -> list[float]:
        return [draws.random() for _ in range(count)]


class Essay(Haystack):
    """The sentences of a text from its beginning, which follows itself where it is too short. The last may be cut.

    What is too long for a sentence, as all of a transcript without full stops is, counts as several of about 20 words:
    a needle could not stand inside it, and would not stand where its depth says.

    Attributes:
        text: on one line.
    """

    def __init__(self, text: str):
        self.text = " ".join(text.split())
        self._begins = [match.start() for match in WORD.finditer(self.text)]
        self._words = len(self._begins)
        # In words, as all that follows.
        ends = {bisect_left(self._begins, match.end()) for match in END.finditer(self.text)}
        self._ends = sorted({*ends, self._words} - {0})
        self._begins.append(len(self.text) + 1)

    def units(self, size: int) -> Sequence[str]:
        """The sentences of so many words, each with the space that follows it in the text, if one does."""
        rounds, rest = divmod(size, self._words)
        # In a long prompt a list as long as a paragraph is no obstacle, and stays in one piece.
        longest = min(max(SENTENCE, size // 100), PASSAGE)
        again = list(self._pieces(self._words, longest)) if rounds else []
        return [*again * rounds, *self._pieces(rest, longest)]

    def hide(self, size: int, needles: Sequence[tuple[float, str]]) -> str:
        units = self.units(size)
        apart = [(place, f" {text} ") for place, text in _placed(needles, units)]
        return splice(units, apart, "").replace("  ", " ").strip()

    def depths(self, draws: Random, count: int) -> list[float]:
        return draws.sample(DEPTHS, count)

    def _pieces(self, words: int, longest: int) -> Iterator[str]:
        """The first words of the text, cut where sentences end and where none does for too long."""
        text = f"{self.text} "
        ends = [*self._ends[: bisect_right(self._ends, words)], words]
        for begin, end in pairwise(dict.fromkeys([0, *ends])):
            parts = 1 if end - begin <= longest else -(-(end - begin) // PART)
            cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
            yield from (text[self._begins[start] : self._begins[stop]] for start, stop in pairwise(cuts))


def _placed(needles: Sequence[tuple[float, str]], units: Sequence[str]) -> list[tuple[int, str]]:
    """Each needle with the number of units before it."""
    return [(int(depth * len(units)), text) for depth, text in needles]
