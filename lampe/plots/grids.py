"""Grids of cells: depth and length, methods and lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lampe.evaluation.report import Summary
from lampe.plots.drawing import INK, UNREACHED, drawing_panels, prompt_caption


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
    with drawing_panels(path, len(labels), size, left=1.0, title=title, caption=prompt_caption(window)) as panels:
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
    caption = f"blue: better, red: worse, bold: the interval excludes zero\n{prompt_caption(window)}"
    with drawing_panels(path, len(panels), size, left=left, title=title, caption=caption) as drawn:
        for axes, panel in zip(drawn, panels, strict=True):
            # Beyond -1 and 1 for the same reason as in `plot_grid`.
            _cells(axes, panel.values, panel.texts, panel.sure, cmap="RdBu", vmin=-1.9, vmax=1.9, fontsize=9)
            axes.set_title(panel.title, fontsize=11)
            axes.set_xticks(range(len(panel.lengths)), [f"{length:,}" for length in panel.lengths])
            first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(range(len(labels)) if first else [], labels if first else [])
            _separate(axes, panel.lengths, window)
    return Path(path)


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
