"""The pictures of a report: curves of every task, grids of needle tasks, differences to the baseline at a glance."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lampe.evaluation.base import Fact, Record, registry
from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.rows import Row
from lampe.evaluation.compare.tables import MARKS, Grid, grids
from lampe.evaluation.report import Column, Summary
from lampe.plots import Differences, plot_differences, plot_grid, plot_scores

MOST_DEPTHS = 11


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        path: of the PNG.
        model: what it shows figures of.
        task: name of the task or suite; None shows all tasks.
        text: what it shows, for those who do not see it.
    """

    path: Path
    model: str
    task: str | None
    text: str


def draw(report: Report, folder: str | Path) -> list[Picture]:
    """Draw all pictures of a report, model by model.

    Args:
        folder: made where it is missing.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    folder = Path(folder)
    made = list(grids(report))
    pictures: list[Picture] = []
    for number, model in enumerate(report.models):
        prefix = f"{number + 1}-" if len(report.models) > 1 else ""
        own = [grid for grid in made if grid.model == model]
        pictures += _overview(report, own, model, folder / f"{prefix}differences.png")
        for grid in own:
            stem = prefix + (re.sub(r"[^\w.]+", "-", grid.task).strip("-") or "task")
            pictures.append(_curves(report, grid, _free(folder / f"{stem}.png", pictures)))
            pictures += _needles(report, grid, _free(folder / f"{stem}-depths.png", pictures))
    return pictures


def _curves(report: Report, grid: Grid, path: Path) -> Picture:
    curves = {
        label: {n: (row.figure, row.low, row.high) for n in grid.lengths if (row := grid.rows.get((label, n)))}
        for label in grid.labels
    }
    kind = next(iter(grid.rows.values())).kind
    plot_scores(
        curves,
        path,
        ylabel=grid.direction,
        shown=registry.get(kind).shown,
        log=_is_open(grid),
        title=f"{grid.model}: {grid.task}",
        window=report.windows.get(grid.model),
    )
    return Picture(path, grid.model, grid.task, f"{grid.task} on {grid.model} by length, a line for each method")


def _overview(report: Report, own: Sequence[Grid], model: str, path: Path) -> Iterator[Picture]:
    compared = [grid for grid in own if grid.compared]
    if not compared:
        return
    labels = [label for label in report.labels if label != report.baseline]
    plot_differences(
        [_differences(grid, labels) for grid in compared],
        labels,
        path,
        title=f"{model}: difference to {report.baseline}",
        window=report.windows.get(model),
    )
    yield Picture(path, model, None, f"Differences to {report.baseline} on {model}, by task, method and length")


def _differences(grid: Grid, labels: Sequence[str]) -> Differences:
    cells = [[grid.rows.get((label, length)) for length in grid.lengths] for label in labels]
    return Differences(
        title=grid.task,
        lengths=grid.lengths,
        values=[[_shade(row, _is_open(grid)) for row in line] for line in cells],
        texts=[[row.shown_difference + MARKS[row.verdict] if row else "" for row in line] for line in cells],
        sure=[[row is not None and row.verdict is not None for row in line] for line in cells],
    )


def _shade(row: Row | None, is_open: bool) -> float | None:
    """How good a difference is, from -1 to 1: of a score twice it, of other figures twice its share of the larger."""
    if row is None or row.difference is None or math.isnan(row.difference):
        return None
    whole = 1.0
    if is_open and math.isfinite(row.difference):
        whole = max(abs(row.figure), abs(row.figure - row.difference)) or 1.0
    shade = 2 * row.difference / whole
    return max(-1.0, min(1.0, shade if row.higher_is_better else -shade))


def _needles(report: Report, grid: Grid, path: Path) -> Iterator[Picture]:
    """A grid of depth and length, for a task that counts what is found and whose samples all say how deep it lies."""
    records = [record for record in report.records if record.setting.model == grid.model and record.name == grid.task]
    depths = [_depth(record) for record in records]
    if not records or None in depths or not grid.higher_is_better:
        return
    # Of many depths a picture shows tenths, each with the depths that are nearest.
    rounded = [round(depth, 1) for depth in depths if depth is not None]
    shown: Sequence[Fact] = rounded if len(set(depths)) > MOST_DEPTHS else [d for d in depths if d is not None]
    scores: dict[tuple[str, Column], tuple[float, ...]] = {}
    for record, depth in zip(records, shown, strict=True):
        key = record.setting.label, (record.length, depth)
        scores[key] = (*scores.get(key, ()), record.score)
    columns = tuple((length, depth) for length in grid.lengths for depth in sorted(set(shown)))
    labels = tuple(label for label in grid.labels if any(label == reached for reached, _ in scores))
    summary = Summary(grid.task, registry.get(records[0].kind), labels, columns, scores)
    plot_grid(summary, path, title=f"{grid.model}: {grid.task}", window=report.windows.get(grid.model))
    yield Picture(
        path, grid.model, grid.task, f"{grid.task} on {grid.model} by depth and length, a grid for each method"
    )


def _depth(record: Record) -> float | None:
    depth = record.facts.get("depth")
    return float(depth) if isinstance(depth, (int, float)) and not isinstance(depth, bool) and 0 <= depth <= 1 else None


def _is_open(grid: Grid) -> bool:
    """Whether figures have no upper end, as perplexities; scores go from 0 to 1."""
    return not grid.higher_is_better and any(row.figure > 1 for row in grid.rows.values())


def _free(path: Path, pictures: Sequence[Picture]) -> Path:
    """A path that no picture has: names of tasks may differ in nothing that a file name keeps."""
    taken, number = {picture.path for picture in pictures}, 2
    stem = path.stem
    while path in taken:
        path, number = path.with_name(f"{stem}-{number}.png"), number + 1
    return path
