"""Looks for head, tail and temperature, one after another, with the spans as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lampe.calibration.search import mean, standard_error
from lampe.calibration.settings import Part

TEMPERATURES = (1.0, 1.035, 1.1)
"""A that are tried beside the one at hand, 1.069315 if nothing was said."""

HEADS = (32, 16, 8, 4)
"""Heads that are tried, as fractions of the trained window."""

TAILS = (0, 40, 8)
"""Tails that are tried: none, and fractions of the trained window."""


@dataclass(frozen=True)
class Parts:
    """What a profile fixes beside the curve: h and t in tokens, and A."""

    head: int
    tail: int
    temperature: float

    def __str__(self) -> str:
        return f"head {self.head}, tail {self.tail}, A {self.temperature:.6g}"


def candidates(part: Part, window: int) -> list[int] | list[float]:
    """The values of a part that are tried.

    Args:
        window: the trained window in tokens.
    """
    if part == "temperature":
        return list(TEMPERATURES)
    if part == "head":
        return [max(1, window // fraction) for fraction in HEADS]
    return [window // fraction if fraction else 0 for fraction in TAILS]


def search_parts(
    parts: Parts,
    wanted: Sequence[Part],
    window: int,
    losses: Callable[[Parts], Sequence[float]],
    noise: float,
) -> Parts:
    """The parts with the least mean loss, changed one at a time where that gains more than the noise.

    Args:
        parts: to begin with.
        wanted: which are looked for, in this order.
        window: the trained window in tokens.
        losses: of all contexts, in the same order whatever the parts; parts are infinitely bad where one is not finite.
        noise: what a loss must differ by at the least, in nats a token.
    """
    for part in wanted:
        now = losses(parts)
        best, least = parts, now
        for value in candidates(part, window):
            changed: dict[str, Any] = {part: value}
            other = replace(parts, **changed)
            if other == parts:
                continue
            tried = losses(other)
            gain = mean(now) - mean(tried)
            if gain > max(noise, standard_error(now, tried) or 0.0) and mean(tried) < mean(least):
                best, least = other, tried
        parts = best
    return parts
