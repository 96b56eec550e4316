"""Pictures of results: curves against length, grids of depth and length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from lampe.errors import MissingExtraError
from lampe.evaluation.report import Summary
from lampe.files import write_whole

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
"""Okabe and Ito's, which stay apart for colour-blind eyes."""

MARKERS, DASHES = "os^", ("-", (0, (4, 1.6)), (0, (1.2, 1.4)))
"""What tells lines of one colour apart."""

PAGE = 16.0
"""Inches that a picture of panels is wide at most, unless one panel is wider."""

INK, PALE, UNREACHED = "#333333", "#8A8A8A", "#EDEDED"
STYLE: Any = {
    "font.size": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "text.color": INK,
    # A method may have a dollar sign in its name.
    "text.parse_math": False,
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
        for index, label in enumerate(summary.labels):
            look = _look(index)
            points = [(n, v) for n in lengths if (v := summary.value(label, n)) is not None and math.isfinite(v)]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, **look, markersize=6, linewidth=2.2, clip_on=False, zorder=3)
                ends.append((x[-1], y[-1], f"{label}  {summary.shown(label, x[-1])}", look["color"]))
        axes.set_title(title, loc="left", fontweight="bold", pad=24)
        axes.set_xlabel("context, tokens")
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        _length_axis(axes, lengths)
        _log_axis(axes, [y for _, y, _, _ in ends] + [v for line in axes.lines for v in line.get_ydata()])
        _label_ends(axes, ends)
        if window is not None and lengths and window < axes.get_xlim()[1]:
            _mark_window(axes, window, f"trained window {window:,}")
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
    size = max(1.7, 0.85 * len(lengths)), 1.2 + 0.5 * len(depths)
    with _drawing_panels(path, len(labels), size, left=1.0, title=title, caption=_prompt(window)) as panels:
        for axes, label in zip(panels, labels, strict=True):
            values = [[summary.value(label, length, depth) for length in lengths] for depth in depths]
            texts = [[summary.shown(label, length, depth) for length in lengths] for depth in depths]
            # Beyond 0 and 1, so that the ends of the scale stay light enough to read a number on.
            _cells(axes, values, texts, cmap="RdYlBu", vmin=-0.25, vmax=1.25, fontsize=11)
            axes.set_title(label, fontsize=11)
            axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
            first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(range(len(depths)) if first else [], [f"{depth:.0%}" for depth in depths] if first else [])
            if first:
                axes.set_ylabel("depth of the key")
            _separate(axes, lengths, window)
    return Path(path)


Point = tuple[float, float | None, float | None]
"""A figure, and the ends of its interval where it has one."""


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
        log: a logarithmic scale of figures, for perplexities; else the scale goes from 0 to 1 if all figures do.
        window: the trained window in tokens; lengths beyond it are shaded.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    lengths = sorted({length for points in curves.values() for length in points})
    height = max(4.6, 1.6 + 0.24 * len(curves))
    with _drawing(path, 9.6, height) as (_, (axes,)):
        ends = []
        values: list[float] = []
        for index, (label, points) in enumerate(curves.items()):
            look = _look(index)
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
        axes.set_title(title, loc="left", fontweight="bold", pad=24)
        axes.set_xlabel("prompt, tokens")
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlim(-0.4, max(len(lengths) - 0.6, 0.4))
        axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
        if log:
            _log_axis(axes, values)
        elif values and min(values) >= 0 and max(values) <= 1:
            axes.set_ylim(-0.03, 1.03)
        _label_ends(axes, ends, gap=0.22 / (height - 1.3))
        inside = sum(length <= window for length in lengths) if window is not None else len(lengths)
        if inside < len(lengths):
            _mark_window(axes, inside - 0.5, f"trained window {window:,}")
    return Path(path)


@dataclass(frozen=True)
class Differences:
    """How far methods are from a baseline on one task.

    Attributes:
        title: of the panel.
        lengths: in tokens, across.
        values: by method and length, from -1, worse, to 1, better; None where there is no difference to show.
        texts: what the cells say.
        sure: whether the interval of the difference excludes zero; such a cell's text is bold.
    """

    title: str
    lengths: Sequence[int]
    values: Sequence[Sequence[float | None]]
    texts: Sequence[Sequence[str]]
    sure: Sequence[Sequence[bool]]


def plot_differences(
    panels: Sequence[Differences],
    labels: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
    window: int | None = None,
) -> Path:
    """Draw a panel for each task: length across, methods down, the difference to a baseline as colour and number.

    Args:
        labels: the methods.
        path: of the PNG; its folder is made where it is missing.
        window: the trained window in tokens; a dashed line tells the lengths beyond it apart.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    size = max(1.7, 0.72 * max((len(panel.lengths) for panel in panels), default=1)), 1.0 + 0.32 * len(labels)
    left = 0.4 + 0.085 * max(map(len, labels), default=0)
    caption = f"blue: better, red: worse, bold: the interval excludes zero\n{_prompt(window)}"
    with _drawing_panels(path, len(panels), size, left=left, title=title, caption=caption) as drawn:
        for axes, panel in zip(drawn, panels, strict=True):
            # Beyond -1 and 1 for the same reason as in `plot_grid`.
            _cells(axes, panel.values, panel.texts, panel.sure, cmap="RdBu", vmin=-1.9, vmax=1.9, fontsize=9)
            axes.set_title(panel.title, fontsize=11)
            axes.set_xticks(range(len(panel.lengths)), [f"{length:,}" for length in panel.lengths])
            first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(range(len(labels)) if first else [], labels if first else [])
            _separate(axes, panel.lengths, window)
    return Path(path)


def _look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line with this number."""
    again = index // len(COLOURS) % len(MARKERS)
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[again], "linestyle": DASHES[again]}


def _prompt(window: int | None) -> str:
    return "prompt, tokens" + (f"; dashed: the trained window of {window:,}" if window is not None else "")


@contextmanager
def _drawing_panels(
    path: str | Path, count: int, size: tuple[float, float], *, left: float, title: str, caption: str
) -> Iterator[Sequence[Any]]:
    """Panels of one size in inches, in as many rows as keep the picture from growing wider than a page."""
    across, down = size[0] + 0.2, size[1]
    rows = math.ceil(count / max(1, int((PAGE - left) / across))) or 1
    columns = math.ceil(count / rows) or 1
    width = max(left + across * columns, 0.5 + 0.115 * len(title), 0.5 + 0.085 * max(map(len, caption.splitlines())))
    with _drawing(path, width, 0.4 + down * rows, rows=rows, columns=columns) as (figure, panels):
        for axes in panels[count:]:
            figure.delaxes(axes)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(caption, fontsize=10)
        yield panels[:count]


@contextmanager
def _drawing(
    path: str | Path, width: float, height: float, *, rows: int = 1, columns: int = 1
) -> Iterator[tuple[Any, Sequence[Any]]]:
    """A figure of so many inches and its panels, written when the block ends: the file is there whole or not at all."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "a picture") from None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, list(figure.subplots(rows, columns, squeeze=False).flat)
        content = BytesIO()
        figure.savefig(content, dpi=160, format="png")
        write_whole(path, content.getvalue())


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


def _label_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]], gap: float = 0.065) -> None:
    """Write (x, y, text, colour) to the right of the axes at the height of y, moved apart where they would touch."""
    ordered = sorted(ends, key=lambda end: end[1])
    fraction = axes.transData + axes.transAxes.inverted()
    heights = spread([float(fraction.transform((x, y))[1]) for x, y, _, _ in ordered], gap, low=0, high=1)
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
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "alpha": 0.45,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 5,
            },
        )


def _mark_window(axes: Any, at: float, name: str) -> None:
    left, right = axes.get_xlim()
    axes.axvspan(max(at, left), right, color="#F4F1EA", zorder=0)
    if at < left:
        # Its line and name would lie outside the axes, and the layout would make room for them.
        return
    axes.axvline(at, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        name,
        xy=(at, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        color=INK,
        fontsize=9,
    )


def _cells(
    axes: Any,
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    bold: Sequence[Sequence[bool]] | None = None,
    *,
    fontsize: float,
    **colours: Any,
) -> None:
    """Coloured cells with a text in each; a cell without a value is grey."""
    axes.set_facecolor(UNREACHED)
    numbers = [[math.nan if value is None else value for value in row] for row in values]
    axes.imshow(numbers, aspect="auto", **colours)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            weight = "bold" if bold and bold[row][column] else "normal"
            axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, fontweight=weight)
    axes.set_xticks([column + 0.5 for column in range(len(texts[0]) - 1)], minor=True)
    axes.set_yticks([row + 0.5 for row in range(len(texts) - 1)], minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _separate(axes: Any, lengths: Sequence[int], window: int | None) -> None:
    inside = sum(length <= window for length in lengths) if window is not None else 0
    if 0 < inside < len(lengths):
        axes.axvline(inside - 0.5, color=INK, linewidth=1.4, linestyle=(0, (3, 2)))


def spread(heights: Sequence[float], gap: float, *, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Ascending heights moved as little as pushes allow until neighbours are `gap` apart.

    Args:
        low: no height is below it; nearer neighbours are what it takes where there are too many.
        high: no height is above it, likewise.
    """
    gap = min(gap, (high - low) / max(len(heights) - 1, 1))
    groups: list[tuple[float, int]] = []
    for height in heights:
        middle, count = height, 1
        while groups and middle - groups[-1][0] < gap * (count + groups[-1][1]) / 2 - 1e-12:
            other, others = groups.pop()
            middle, count = (middle * count + other * others) / (count + others), count + others
        groups.append((middle, count))
    moved = [middle + gap * (index - (count - 1) / 2) for middle, count in groups for index in range(count)]
    moved = [min(height, high - gap * (len(moved) - 1 - index)) for index, height in enumerate(moved)]
    return [max(height, low + gap * index) for index, height in enumerate(moved)]
