"""Measures how fast the machine is while it works, and says what still fits into the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lampe.config import ModelConfig

MARGIN = 1.1
"""A guess is believed to this factor."""

STEP_COST = 20.0
"""Tokens of a prompt that take as long as making one token, until that is observed: it reads all weights for itself."""

PULL = 1e-4
"""How much the expected ratios weigh against one observation."""


class Work(NamedTuple):
    """Prompt tokens that pass through the layers, pairs of tokens that attention computes for them, tokens made."""

    tokens: int
    pairs: float
    steps: int

    @classmethod
    def between(cls, first: int, length: int, steps: int = 0) -> Work:
        """Appending tokens `first` to `length - 1` to a cache that holds those before, then making `steps` tokens."""
        return cls(length - first, (length**2 - first**2) / 2, steps)


class Budget:
    """Time that may be spent, and what it buys.

    The seconds of a piece of work are a * tokens + b * pairs + c * steps. The three are fitted to what was observed,
    for each method by itself; until different sizes were, b / a is the ratio of the arithmetic and c / a `STEP_COST`.

    Args:
        seconds: how long everything may take; None for no limit.
        pair_cost: the ratio b / a to begin with, see `pair_cost`.
        clock: seconds that only grow.
    """

    def __init__(self, seconds: float | None, pair_cost: float, *, clock: Callable[[], float] = time.monotonic):
        self.seconds = seconds
        self._prior = (1.0, pair_cost, STEP_COST)
        self._clock = clock
        self._began = clock()
        self._seen: dict[str, list[tuple[Work, float]]] = {}
        self._speeds: dict[str, list[float]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the budget was made."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds that remain; infinite without a limit."""
        return float("inf") if self.seconds is None else self.seconds - self.elapsed

    def observe(self, label: str, work: Work, seconds: float) -> None:
        """Note how long a piece of work took under a method."""
        self._seen.setdefault(label, []).append((work, seconds))
        self._speeds = {**self._speeds, label: self._fit(self._seen[label])}

    def predict(self, items: Iterable[tuple[str, Work]]) -> float:
        """Seconds for (method, work) items; a method not seen yet is as slow as the slowest one, zero if none was."""
        speeds = self._speeds
        total = 0.0
        for label, work in items:
            known = [speeds[label]] if label in speeds else speeds.values()
            total += max((_dot(speed, work) for speed in known), default=0.0)
        return total

    def admits(self, items: Iterable[tuple[str, Work]]) -> bool:
        """Whether the items fit into what is left."""
        return self.predict(items) * MARGIN <= self.left

    def _fit(self, seen: list[tuple[Work, float]]) -> list[float]:
        """a, b and c: non-negative least squares by coordinates, drawn lightly to the expected ratios."""
        scale = sum(t for _, t in seen) / sum(_dot(self._prior, work) for work, _ in seen)
        expected = [scale * cost for cost in self._prior]
        # Errors grow with the root of the time, as those of a sum of many small delays do.
        rows = [([cost * n for cost, n in zip(expected, work, strict=True)], max(t, 1e-9)) for work, t in seen]
        pull = PULL * sum(t for _, t in rows) / len(rows)
        gram = [[sum(row[i] * row[j] / t for row, t in rows) + pull * (i == j) for j in range(3)] for i in range(3)]
        moment = [sum(row[i] for row, _ in rows) + pull for i in range(3)]
        shares = [1.0, 1.0, 1.0]
        for i in [0, 1, 2] * 200:
            error = moment[i] - sum(g * share for g, share in zip(gram[i], shares, strict=True))
            shares[i] = max(shares[i] + error / gram[i][i], 0.0)
        return [share * cost for share, cost in zip(shares, expected, strict=True)]


def _dot(speed: Sequence[float], work: Work) -> float:
    return sum(rate * amount for rate, amount in zip(speed, work, strict=True))


def pair_cost(config: ModelConfig) -> float:
    """Arithmetic of attention for a pair of tokens, relative to that of all matrices for a token."""
    hidden, d = config.hidden_size, config.head_dim
    projections = hidden * d * (2 * config.n_heads + 2 * config.n_kv_heads)
    matrices = projections + 3 * hidden * config.intermediate_size
    return 2 * config.n_heads * d / matrices
