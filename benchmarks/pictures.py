"""The pictures of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.harness import Ratio
from lampe.errors import MissingExtraError
from lampe.plots import COLOURS, INK, STYLE


@contextmanager
def drawing(path: Path, panels: int, title: str, *, width: float = 5.0) -> Iterator[Sequence[Any]]:
    """Panels side by side, each so many inches wide, written to a PNG when the block ends; a legend names all lines.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "the picture of a benchmark") from None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.6 + width * panels, 4.4), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        yield axes
        named = {label: mark for panel in axes for mark, label in zip(*panel.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside right center", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, format="png")


def lines(axes: Any, series: Mapping[str, Mapping[int, Ratio]], *, xlabel: str = "tokens") -> None:
    """A line for each run against length on a logarithmic axis; bars show lowest and highest, dashes the peer."""
    for index, (colour, (label, points)) in enumerate(zip(cycle(COLOURS), series.items(), strict=False)):
        # Moved apart a little, so that bars do not hide each other.
        places = [length * 2 ** (0.03 * (index - (len(series) - 1) / 2)) for length in points]
        medians = [value.median for value in points.values()]
        below = [value.median - value.lowest for value in points.values()]
        above = [value.highest - value.median for value in points.values()]
        axes.errorbar(
            places, medians, yerr=[below, above], label=label, color=colour, marker="o", markersize=5, capsize=3
        )
    axes.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    length_axis(axes, sorted({length for points in series.values() for length in points}), xlabel)


def curves(axes: Any, series: Mapping[str, Mapping[int, float]], ylabel: str) -> None:
    """A line for each run, both axes logarithmic."""
    for colour, (label, points) in zip(cycle(COLOURS), series.items(), strict=False):
        axes.plot(list(points), list(points.values()), label=label, color=colour, marker="o", markersize=5)
    plain_log_axis(axes)
    axes.set_ylabel(ylabel)
    length_axis(axes, sorted({length for points in series.values() for length in points}), "tokens")


def bars(axes: Any, groups: Mapping[str, Mapping[str, Ratio]]) -> None:
    """A group of bars for each setting, a bar for each run; thin lines show lowest and highest."""
    runs = list(dict.fromkeys(run for group in groups.values() for run in group))
    thickness = 0.8 / len(runs)
    for index, (colour, run) in enumerate(zip(cycle(COLOURS), runs, strict=False)):
        values = {place: group[run] for place, group in enumerate(groups.values()) if run in group}
        places = [place + (index - (len(runs) - 1) / 2) * thickness for place in values]
        medians = [value.median for value in values.values()]
        ends = [[v.median - v.lowest for v in values.values()], [v.highest - v.median for v in values.values()]]
        drawn = axes.bar(places, medians, 0.92 * thickness, yerr=ends, label=run, color=colour, ecolor=INK, capsize=2)
        axes.bar_label(drawn, fmt="%.2f", padding=2, fontsize=8)
    axes.set_xticks(range(len(groups)), list(groups), fontsize=8)
    axes.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))


def plain_log_axis(axes: Any) -> None:
    """A logarithmic axis upwards with plain numbers at 1, 2 and 5 of each decade, one decade of it at least."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def length_axis(axes: Any, lengths: Sequence[int], label: str) -> None:
    """A logarithmic axis with a tick at every length."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths], fontsize=8)
    axes.set_xlabel(label)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
