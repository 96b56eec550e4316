"""Curves of figures against length, a line for each method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lampe.evaluation.report import Summary
from lampe.plots.drawing import drawing, frame, label_ends, log_axis, look_of, mark_window

Point = tuple[float, float | None, float | None]
"""A figure, and the ends of its interval where it has one."""


def plot_curves(
    summary: Summary, path: str | Path, *, ylabel: str = "perplexity", title: str = "", window: int | None = None
) -> Path:
    """Draw figures against length, a line for each method with its name at the end.

    The scale of figures is logarithmic where all are above zero.

    Args:
        summary: by method and length; what was not reached is left out of its line.
        path: of the PNG; its folder is made where it is missing.
        window: the trained window in tokens, marked by a line.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    lengths = summary.lengths
    with drawing(path, 8.0, 4.6) as (_, (axes,)):
        ends = []
        for index, label in enumerate(summary.labels):
            look = look_of(index)
            points = [(n, v) for n in lengths if (v := summary.value(label, n)) is not None and math.isfinite(v)]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, **look, markersize=6, linewidth=2.2, clip_on=False, zorder=3)
                ends.append((x[-1], y[-1], f"{label}  {summary.shown(label, x[-1])}", look["color"]))
        frame(axes, title, "context, tokens", ylabel)
        _length_axis(axes, lengths)
        log_axis(axes, [y for _, y, _, _ in ends] + [v for line in axes.lines for v in line.get_ydata()])
        label_ends(axes, ends)
        if window is not None and lengths and window < axes.get_xlim()[1]:
            mark_window(axes, window, f"trained window {window:,}")
    return Path(path)


def plot_scores(
    curves: Mapping[str, Mapping[int, Point]],
    path: str | Path,
    *,
    ylabel: str,
    shown: Callable[[float], str] = "{:.3f}".format,
    log: bool = False,
    title: str = "",
    window: int | None = None,
) -> Path:
    """Draw figures with their intervals by length, a line for each method with its name at the end.

    Lengths stand at equal distances. At each, methods stand beside each other, so that their intervals do not hide one
    another.

    Args:
        curves: by method and length in tokens; what was not reached, or is not finite, is left out of its line.
        path: of the PNG; its folder is made where it is missing.
        shown: a figure as the name of its line says it.
        log: a logarithmic scale of figures, for perplexities, where all are above zero; without it the scale goes from
            0 to 1 if all figures do.
        window: the trained window in tokens; lengths beyond it are shaded.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    lengths = sorted({length for points in curves.values() for length in points})
    height = max(4.6, 1.6 + 0.24 * len(curves))
    with drawing(path, 9.6, height) as (_, (axes,)):
        ends = []
        values: list[float] = []
        for index, (label, points) in enumerate(curves.items()):
            look = look_of(index)
            beside = min(0.03, 0.36 / len(curves)) * (index - (len(curves) - 1) / 2)
            found = {lengths.index(n): points[n] for n in sorted(points) if math.isfinite(points[n][0])}
            if not found:
                continue
            x, y = [at + beside for at in found], [figure for figure, _, _ in found.values()]
            axes.plot(x, y, **look, markersize=5, linewidth=1.8, clip_on=False, zorder=3)
            for at, (_, low, high) in zip(x, found.values(), strict=True):
                if low is not None and high is not None and math.isfinite(high):
                    axes.plot([at, at], [low, high], color=look["color"], linewidth=1.3, alpha=0.55, zorder=2)
                    values += [low, high]
            values += y
            ends.append((x[-1], y[-1], f"{label}  {shown(y[-1])}", look["color"]))
        frame(axes, title, "prompt, tokens", ylabel)
        axes.set_xlim(-0.4, max(len(lengths) - 0.6, 0.4))
        axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
        if log:
            log_axis(axes, values)
        elif values and min(values) >= 0 and max(values) <= 1:
            axes.set_ylim(-0.03, 1.03)
        label_ends(axes, ends, gap=0.22 / (height - 1.3))
        inside = sum(length <= window for length in lengths) if window is not None else len(lengths)
        if inside < len(lengths):
            mark_window(axes, inside - 0.5, f"trained window {window:,}")
    return Path(path)


def _length_axis(axes: Any, lengths: Sequence[int]) -> None:
    if lengths:
        span = (lengths[-1] - lengths[0]) or lengths[0]
        axes.set_xlim(lengths[0] - 0.05 * span, lengths[-1] + 0.01 * span)
        axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
