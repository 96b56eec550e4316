"""Pictures of results: curves against length, grids of depth and length."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from lampe.errors import MissingExtraError
from lampe.evaluation.report import Summary

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Okabe and Ito's, which stay apart for colour-blind eyes."""

INK, PALE, UNREACHED = "#333333", "#8A8A8A", "#EDEDED"
STYLE: Any = {
    "font.size": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def plot_curves(
    summary: Summary, path: str | Path, *, ylabel: str = "perplexity", title: str = "", window: int | None = None
) -> Path:
    """Draw figures against length on a logarithmic scale, a line for each method with its name at the end.

    Args:
        summary: by method and length; what was not reached is left out of its line.
        path: of the PNG; its folder is made where it is missing.
        window: the trained window in tokens, marked by a line.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    lengths = summary.lengths
    with _drawing(path, 8.0, 4.6) as (_, (axes,)):
        ends = []
        for colour, label in zip(islice(cycle(COLOURS), len(summary.labels)), summary.labels, strict=True):
            points = [(n, v) for n in lengths if (v := summary.value(label, n)) is not None and math.isfinite(v)]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, marker="o", markersize=6, linewidth=2.2, clip_on=False, zorder=3)
                ends.append((x[-1], y[-1], f"{label}  {summary.shown(label, x[-1])}", colour))
        axes.set_title(title, loc="left", fontweight="bold", pad=24)
        axes.set_xlabel("context, tokens")
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        _length_axis(axes, lengths)
        _log_axis(axes, [y for _, y, _, _ in ends] + [v for line in axes.lines for v in line.get_ydata()])
        _label_ends(axes, ends)
        if window is not None and lengths and window < axes.get_xlim()[1]:
            _mark_window(axes, window)
    return Path(path)


def plot_grid(summary: Summary, path: str | Path, *, title: str = "", window: int | None = None) -> Path:
    """Draw a panel for each method: length across, depth down, the fraction found as colour and number.

    Args:
        summary: split by depth; a cell that was not reached is grey.
        path: of the PNG; its folder is made where it is missing.
        window: the trained window in tokens; a dashed line tells the lengths beyond it apart.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    depths = sorted({fact for _, fact in summary.columns if isinstance(fact, (int, float))})
    lengths, labels = summary.lengths, summary.labels
    width = max(1.7, 0.85 * len(lengths))
    with _drawing(path, 1.0 + (width + 0.2) * len(labels), 1.6 + 0.5 * len(depths), columns=len(labels)) as (
        figure,
        panels,
    ):
        for axes, label in zip(panels, labels, strict=True):
            values = [[summary.value(label, length, depth) for length in lengths] for depth in depths]
            cells = [[math.nan if value is None else value for value in row] for row in values]
            axes.set_facecolor(UNREACHED)
            # Beyond 0 and 1, so that the ends of the scale stay light enough to read a number on.
            axes.imshow(cells, cmap="RdYlBu", vmin=-0.25, vmax=1.25, aspect="auto")
            for row, depth in enumerate(depths):
                for column, length in enumerate(lengths):
                    axes.text(column, row, summary.shown(label, length, depth), ha="center", va="center", fontsize=11)
            axes.set_title(label, fontsize=11)
            axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
            shown = [f"{depth:.0%}" for depth in depths] if axes is panels[0] else []
            axes.set_yticks(range(len(shown)), shown)
            _separate_cells(axes, len(depths), len(lengths))
            inside = sum(length <= window for length in lengths) if window is not None else 0
            if 0 < inside < len(lengths):
                axes.axvline(inside - 0.5, color=INK, linewidth=1.4, linestyle=(0, (3, 2)))
        panels[0].set_ylabel("depth of the key")
        beyond = f"; dashed: the trained window of {window:,}" if window is not None else ""
        figure.supxlabel(f"prompt, tokens{beyond}", fontsize=10)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return Path(path)


@contextmanager
def _drawing(path: str | Path, width: float, height: float, *, columns: int = 1) -> Iterator[tuple[Any, Sequence[Any]]]:
    """A figure of so many inches and its panels, written when the block ends: the file is there whole or not at all."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "a picture") from None
    path = Path(path)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(1, columns, squeeze=False)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.{os.getpid()}.png")
        try:
            figure.savefig(partial, dpi=160, format="png")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def _length_axis(axes: Any, lengths: Sequence[int]) -> None:
    if lengths:
        span = (lengths[-1] - lengths[0]) or lengths[0]
        axes.set_xlim(lengths[0] - 0.05 * span, lengths[-1] + 0.01 * span)
        axes.set_xticks(lengths, [f"{length:,}" for length in lengths])


def _log_axis(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of each decade, a little wider than the values."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    if values:
        low, high = min(values), max(values)
        room = max((high / low) ** 0.06, 1.1)
        axes.set_ylim(low / room, high * room)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _label_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write (x, y, text, colour) to the right of the axes at the height of y, moved apart where they would touch."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    ordered = sorted(ends, key=lambda end: end[1])
    heights = spread([(math.log(y) - low) / (high - low) for _, y, _, _ in ordered], 0.065)
    for (x, y, text, colour), height in zip(ordered, heights, strict=True):
        axes.annotate(
            text,
            xy=(x, y),
            xytext=(1.035, height),
            textcoords="axes fraction",
            color=colour,
            fontweight="bold",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.45, "shrinkA": 2, "shrinkB": 5},
        )


def _mark_window(axes: Any, window: int) -> None:
    left, right = axes.get_xlim()
    axes.axvspan(max(window, left), right, color="#F4F1EA", zorder=0)
    if window < left:
        # Its line and name would lie outside the axes, and the layout would make room for them.
        return
    axes.axvline(window, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"trained window {window:,}",
        xy=(window, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        color=INK,
        fontsize=9,
    )


def _separate_cells(axes: Any, rows: int, columns: int) -> None:
    axes.set_xticks([column + 0.5 for column in range(columns - 1)], minor=True)
    axes.set_yticks([row + 0.5 for row in range(rows - 1)], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved as little as pushes allow until neighbours are `gap` apart."""
    groups: list[tuple[float, int]] = []
    for height in heights:
        middle, count = height, 1
        while groups and middle - groups[-1][0] < gap * (count + groups[-1][1]) / 2 - 1e-12:
            other, others = groups.pop()
            middle, count = (middle * count + other * others) / (count + others), count + others
        groups.append((middle, count))
    return [middle + gap * (index - (count - 1) / 2) for middle, count in groups for index in range(count)]
