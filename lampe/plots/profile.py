"""Pictures of a calibration: the loss of spans at every length, and the curve through the best ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lampe.plots.drawing import COLOURS, INK, PALE, drawing, drawing_panels, frame, label_ends, mark_window
from lampe.positional.profile import PROFILES, Measured, Profile
from lampe.positional.profile import Point as Optimum

OWN, PLATEAU = COLOURS[1], "#DCE9F5"

PUBLISHED_WINDOWS = {"llama2": 4096, "llama3": 8192, "mistral": 32768, "llama3.1": 131072}
"""Trained windows of the models that the paper fitted, in tokens: their curves are drawn in units of these."""

PANEL = (3.1, 2.9)
"""Inches of the panel of a length."""

WINDOWS = 4.0
"""The curve is drawn up to so many trained windows, or to half as far again as was measured."""


def plot_spans(profile: Profile, path: str | Path, *, title: str = "", unit: str = "loss, nats a token") -> Path:
    """Draw a panel for each length: the loss over the spans that were tried, with the best one marked.

    Bars are standard errors of the difference to the best. The spans that the noise does not tell from it are shaded.

    Args:
        profile: a measured one.
        path: of the PNG; its folder is made where it is missing.
        unit: of the losses.

    Raises:
        ValueError: the profile was not measured.
        MissingExtraError: matplotlib is not installed.
    """
    measured = _measured(profile)
    caption = "span, tokens; shaded: not told from the best by the noise"
    with drawing_panels(path, len(measured.points), PANEL, left=0.7, title=title, caption=caption) as panels:
        for axes, point in zip(panels, measured.points, strict=True):
            _draw_losses(axes, point)
            axes.set_title(f"{point.length:,} tokens, {point.length / measured.window:.3g} × window", fontsize=11)
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel(unit)
    return Path(path)


def plot_profile(profile: Profile, path: str | Path, *, title: str = "") -> Path:
    """Draw the fitted curve through the best spans, beside the published ones.

    Both axes are in trained windows, each curve's own, so that models with different windows compare. Bars reach over
    the spans that the noise does not tell from the best.

    Args:
        profile: a measured one.
        path: of the PNG; its folder is made where it is missing.

    Raises:
        ValueError: the profile was not measured.
        MissingExtraError: matplotlib is not installed.
    """
    measured = _measured(profile)
    window = measured.window
    farthest = max(WINDOWS, 1.5 * max(point.length for point in measured.points) / window)
    steps = [farthest * step / 400 for step in range(8, 401)]
    # A long name beside the curve takes its room from the picture, not from the axes.
    with drawing(path, max(9.0, 7.2 + 0.095 * len(measured.model)), 4.8) as (_, (axes,)):
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1.0, linestyle=(0, (1.2, 1.4)))
        ends = []
        for name, own in PUBLISHED_WINDOWS.items():
            values = [_share(PROFILES[name], n, own) for n in steps]
            axes.plot(steps, values, color="#B5B5B5", linewidth=1.2, zorder=2)
            ends.append((steps[-1], values[-1], f"{name}, published", PALE))
        values = [_share(profile, n, window) for n in steps]
        axes.plot(steps, values, color=OWN, linewidth=2.6, zorder=3)
        ends.append((steps[-1], values[-1], f"{measured.model}", OWN))
        for point in measured.points:
            at, best = point.length / window, point.span / window
            if point.mapped:
                axes.plot([at, at], [point.low / window, point.high / window], color=INK, linewidth=1.4, zorder=4)
            face = OWN if point.mapped else "white"
            axes.plot([at], [best], "o", color=OWN, markerfacecolor=face, markersize=8, zorder=5, clip_on=False)
        caption = "input, in trained windows; hollow: true positions were best, dotted: nothing mapped"
        frame(axes, title, caption, "span, in trained windows")
        axes.set_xlim(0, farthest)
        axes.set_ylim(0, 1.05)
        label_ends(axes, ends)
        mark_window(axes, 1, f"trained window {window:,}")
    return Path(path)


def _measured(profile: Profile) -> Measured:
    if profile.measured is None:
        raise ValueError("this profile holds a curve alone: only what `lampe calibrate` wrote has points to draw")
    return profile.measured


def _draw_losses(axes: Any, point: Optimum) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    spans, losses = [tried.span for tried in point.tried], [tried.loss for tried in point.tried]
    errors = [tried.error or 0.0 for tried in point.tried]
    axes.set_xscale("log")
    # One span has no plateau to see: a little room on either side.
    axes.axvspan(point.low / 1.03, point.high * 1.03, color=PLATEAU, zorder=0)
    axes.errorbar(
        spans,
        losses,
        yerr=errors,
        color=INK,
        ecolor=PALE,
        elinewidth=1.2,
        linewidth=1.4,
        marker="o",
        markersize=4,
        zorder=2,
    )
    best = losses[spans.index(point.span)]
    axes.plot([point.span], [best], "o", color=OWN, markersize=9, zorder=3)
    name = f"{point.span:,}" if point.mapped else "true positions"
    note = f"{name}\nlargest inside\nthe window" if point.edge else name
    low, high = min(spans) / 1.25, max(spans) * 1.25
    right = math.log(point.span / low) > 0.5 * math.log(high / low)
    top = max(a + b for a, b in zip(losses, errors, strict=True))
    bottom = min(a - b for a, b in zip(losses, errors, strict=True))
    room = (top - bottom) or 0.01
    axes.set_ylim(bottom - (0.55 if point.edge else 0.38) * room, top + 0.12 * room)
    # Below every bar, for a neighbour's would cross the note beside the marker.
    axes.annotate(
        note,
        (point.span, bottom),
        (6 if right else -6, -9),
        textcoords="offset points",
        va="top",
        ha="right" if right else "left",
        color=OWN,
        fontsize=9,
        fontweight="bold",
    )
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(_ticks(low, high), [f"{tick:,}" for tick in _ticks(low, high)])


def _ticks(low: float, high: float) -> list[int]:
    """Powers of two between two spans, at most five of them; the ends' middle where there is none."""
    powers = [2**power for power in range(64) if low <= 2**power <= high]
    step = math.ceil(len(powers) / 5) or 1
    return powers[::-1][::step][::-1] or [round(math.sqrt(low * high))]


def _share(profile: Profile, windows: float, window: int) -> float:
    """The span for an input of so many windows, in windows; never more than true positions take."""
    return min(profile.span(round(windows * window)) / window, windows)
