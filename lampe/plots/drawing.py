"""The look that all pictures share, the figures they are drawn on, and axes of lengths and of figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from lampe.errors import MissingExtraError
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


def look_of(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the line with this number."""
    again = index // len(COLOURS) % len(MARKERS)
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[again], "linestyle": DASHES[again]}


def prompt_caption(window: int | None) -> str:
    return "prompt, tokens" + (f"; dashed: the trained window of {window:,}" if window is not None else "")


@contextmanager
def drawing_panels(
    path: str | Path, count: int, size: tuple[float, float], *, left: float, title: str, caption: str
) -> Iterator[Sequence[Any]]:
    """Panels of one size in inches, in as many rows as keep the picture from growing wider than a page."""
    across, down = size[0] + 0.2, size[1]
    rows = math.ceil(count / max(1, int((PAGE - left) / across))) or 1
    columns = math.ceil(count / rows) or 1
    width = max(left + across * columns, 0.5 + 0.115 * len(title), 0.5 + 0.085 * max(map(len, caption.splitlines())))
    with drawing(path, width, 0.4 + down * rows, rows=rows, columns=columns) as (figure, panels):
        for axes in panels[count:]:
            figure.delaxes(axes)
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(caption, fontsize=10)
        yield panels[:count]


@contextmanager
def drawing(
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


def frame(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    """What surrounds curves: a title at the left, names of the axes, and lines at the heights of the ticks."""
    axes.set_title(title, loc="left", fontweight="bold", pad=24)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def log_axis(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of each decade, a little wider than the values.

    It stays linear where a value is zero or below, which has no place on a logarithmic one.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if values and min(values) <= 0:
        return
    axes.set_yscale("log")
    if values:
        low, high = min(values), max(values)
        room = max((high / low) ** 0.06, 1.1)
        axes.set_ylim(low / room, high * room)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def label_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]], gap: float = 0.065) -> None:
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


def mark_window(axes: Any, at: float, name: str) -> None:
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
