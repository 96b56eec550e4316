"""Fits the scaled sigmoid of LaMPE to the best spans of several lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lampe.errors import ConfigError, MissingExtraError
from lampe.positional.profile import Point, Profile

SLOPES, OFFSETS = (0.01, 60.0), (-60.0, 20.0)
"""Bounds of a L and of b."""

STARTS = (0.5, 1.0, 2.0, 5.0, 12.0)
"""Slopes a L from which a fit begins, with the middle of the curve at half, at one and at two of its middle length."""

SHARP = 1.02
"""No best span is known to less than this ratio either way."""

PRIOR = 1e-3
"""How much llama3's rescaled curve weighs against one point that is known to `SHARP`: it decides only what the points
leave open, as fewer than three do."""


@dataclass(frozen=True)
class Fit:
    """A fitted curve.

    Attributes:
        profile: its parameters alone.
        error: root of the mean squared relative deviation from the best spans of the mapped points.
    """

    profile: Profile
    error: float


def fit_curve(points: Sequence[Point], window: int, limit: float) -> Fit:
    """The curve through the best spans.

    Up to the longest of those lengths, counted from the shortest on, whose best is to map nothing, inputs get the whole
    trained window as their span, which leaves positions true; the sigmoid is fitted to the others. Deviations are
    relative and count in units of each point's plateau, the spans that the noise does not tell from its best; large
    ones count linearly (soft L1), so that a single length cannot bend the curve.

    Args:
        points: what was measured, at different lengths.
        window: the trained window L in tokens.
        limit: what l_max may be at the most, in tokens.

    Raises:
        ConfigError: no point was mapped.
        MissingExtraError: scipy is not installed.
    """
    ordered = sorted(points, key=lambda point: point.length)
    short = 0
    while short < len(ordered) and not ordered[short].mapped:
        short += 1
    mapped = [point for point in ordered[short:] if point.mapped]
    if not mapped:
        lengths = ", ".join(str(point.length) for point in ordered) or "none"
        raise ConfigError(
            f"no curve: mapping positions helps at none of the lengths that were measured ({lengths}); lengths above "
            f"the trained window of {window} are needed, and time for them"
        )
    a, b, l_max = _sigmoid(mapped, window, limit)
    rule = {"short_below": ordered[short - 1].length + 1, "short_span": window} if short else {}
    profile = Profile(a=a, b=b, l_max=l_max, **rule)
    deviations = [profile.span(point.length) / point.span - 1 for point in mapped]
    return Fit(profile, math.sqrt(sum(d * d for d in deviations) / len(deviations)))


def solver() -> Any:
    """scipy's `least_squares`, asked for before the first measurement.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise MissingExtraError("scipy", "calibration", "fitting a curve") from None
    return least_squares


def _sigmoid(points: Sequence[Point], window: int, limit: float) -> tuple[float, float, float]:
    """a, b and l_max."""
    import numpy as np

    least_squares = solver()
    n = np.array([point.length / window for point in points])
    spans = np.log([point.span for point in points])
    sigma = np.array([_sigma(point) for point in points])
    default = Profile.default(window)
    prior = np.array([math.log(default.a * window), default.b, math.log(min(default.l_max, limit))])

    def residuals(theta: Any) -> Any:
        log_slope, offset, log_l_max = theta
        curve = log_l_max - np.logaddexp(0.0, -(np.exp(log_slope) * n + offset))
        pull = math.sqrt(PRIOR) * (theta - prior)
        return np.concatenate([(curve - spans) / sigma, pull])

    low = np.array([math.log(SLOPES[0]), OFFSETS[0], math.log(1.01)])
    high = np.array([math.log(SLOPES[1]), OFFSETS[1], math.log(limit)])
    middle = float(np.median(n))
    starts = [prior]
    starts += [
        np.array([math.log(slope), -slope * middle * part, high[2] - 0.05])
        for slope in STARTS
        for part in (0.5, 1.0, 2.0)
    ]
    inside = [np.clip(start, low + 1e-6, high - 1e-6) for start in starts]
    found = [least_squares(residuals, start, bounds=(low, high), loss="soft_l1", max_nfev=2000) for start in inside]
    best = min(found, key=lambda result: float(result.cost)).x
    return float(np.exp(best[0]) / window), float(best[1]), float(np.exp(best[2]))


def _sigma(point: Point) -> float:
    """How far, as a logarithm, the best span may be from where it was found."""
    return max(math.log(point.high / point.low) / 2, math.log(SHARP))
