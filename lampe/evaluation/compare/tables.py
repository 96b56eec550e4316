"""The tables of a report: methods down, lengths across, for the terminal and in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.rows import EffectiveLength, Row

MARKS = {"better": "▲", "worse": "▼", None: ""}


@dataclass(frozen=True)
class Grid:
    """The figures of one model on one task or suite.

    Attributes:
        model: its name.
        task: name of the task or suite.
        unit: of the figures.
        higher_is_better: as for the task.
        labels: the methods, down.
        lengths: in tokens, across.
        rows: by method and length, where that was reached.
        effective: of each method, where the suite has one.
    """

    model: str
    task: str
    unit: str
    higher_is_better: bool
    labels: tuple[str, ...]
    lengths: tuple[int, ...]
    rows: dict[tuple[str, int], Row]
    effective: dict[str, EffectiveLength]

    @property
    def direction(self) -> str:
        """What the figures are, and which are good."""
        return f"{self.unit}, {'higher' if self.higher_is_better else 'lower'} is better"

    @property
    def compared(self) -> bool:
        """Whether any figure is compared with a baseline."""
        return any(row.difference is not None for row in self.rows.values())

    def is_best(self, row: Row) -> bool:
        """Whether its figure is the best of its length, and not all are the same."""
        figures = {
            other.figure for other in self.rows.values() if other.length == row.length and not math.isnan(other.figure)
        }
        return len(figures) > 1 and row.figure == (max if self.higher_is_better else min)(figures)

    def counts(self, length: int) -> str:
        """How many samples the figures of a length rest on, and how many contexts those come from."""
        rows = [row for row in self.rows.values() if row.length == length]
        samples, contexts = _range([row.samples for row in rows]), _range([row.contexts for row in rows])
        return f"{samples} ({contexts})" if rows else "-"

    def is_uneven(self, length: int) -> bool:
        """Whether the figures of a length rest on different numbers of samples."""
        return len({row.samples for row in self.rows.values() if row.length == length}) > 1

    def text(self, row: Row) -> str:
        """Figure, interval, mark, and the number of samples where that differs from method to method."""
        uneven = f"({row.samples})" if self.is_uneven(row.length) else ""
        return " ".join(part for part in (row.shown, row.interval, MARKS[row.verdict], uneven) if part)

    def effective_text(self, label: str) -> str:
        """The effective length of a method as a table shows it."""
        found = self.effective.get(label)
        return "-" if found is None else f"{found.length:,}" if found.length is not None else "none"


def grids(report: Report) -> Iterator[Grid]:
    """The tables of a report, model by model: its suites, then its tasks; without those that nothing was reached of."""
    rows: dict[tuple[str, str], dict[tuple[str, int], Row]] = {}
    for row in (*report.suite_rows, *report.rows):
        rows.setdefault((row.model, row.task), {})[row.method, row.length] = row
    effective: dict[tuple[str, str], dict[str, EffectiveLength]] = {}
    for found in report.effective:
        effective.setdefault((found.model, found.suite), {})[found.method] = found
    for model in report.models:
        for task in (*report.suites, *report.tasks):
            if (model, task) in rows:
                first = next(iter(rows[model, task].values()))
                yield Grid(
                    model=model,
                    task=task,
                    unit=first.unit,
                    higher_is_better=first.higher_is_better,
                    labels=report.labels,
                    lengths=report.lengths[task],
                    rows=rows[model, task],
                    effective=effective.get((model, task), {}),
                )


def legend(report: Report) -> list[str]:
    """How the tables are to be read, a sentence each."""
    sentences = [
        f"In brackets: 95 % intervals, by {report.resamples:,} bootstrap draws of whole contexts.",
        "The best figure of a column is bold.",
        "The last row says how many samples figures rest on, and from how many contexts those come.",
    ]
    if report.baseline is not None:
        sentences.append(
            f"▲ better, ▼ worse than {report.baseline} on the samples that both have: the interval of the difference "
            "excludes zero. By chance alone, about one comparison in twenty would."
        )
    return sentences


def tables(report: Report) -> list[Table]:
    """The tables for the terminal."""
    return [_table(grid) for grid in grids(report)]


def markdown(report: Report) -> str:
    """The whole report in Markdown."""
    lines = [f"# {_escaped(report.title)}", "", " ".join(_escaped(sentence) for sentence in legend(report)), ""]
    lines += [f"- {_escaped(note.text)}" for note in report.notes if note.task is None]
    model = None
    for grid in grids(report):
        if grid.model != model:
            model = grid.model
            window = f" (trained window: {report.windows[model]:,} tokens)" if model in report.windows else ""
            lines += ["", f"## {_escaped(model)}{window}"]
        lines += ["", f"### {_escaped(grid.task)}", "", f"{_escaped(grid.direction)}", "", *_markdown(grid)]
        notes = [f"- {_escaped(note.text)}" for note in report.notes if note.task == grid.task]
        lines += ["", *notes] if notes else []
    return "\n".join(lines) + "\n"


def _table(grid: Grid) -> Table:
    title = f"{grid.model}: {grid.task} ({grid.direction})"
    shown = Table(title=escape(title), title_justify="left", title_style="bold", show_footer=True)
    shown.add_column("tokens", footer="samples (contexts)", no_wrap=True, max_width=72)
    for length in grid.lengths:
        shown.add_column(f"{length:,}", footer=grid.counts(length), justify="right")
    if grid.effective:
        shown.add_column("effective", justify="right")
    for label in grid.labels:
        cells = [_rich(grid, grid.rows.get((label, length))) for length in grid.lengths]
        shown.add_row(escape(label), *cells, *([grid.effective_text(label)] if grid.effective else []))
    return shown


def _rich(grid: Grid, row: Row | None) -> str:
    if row is None:
        return "-"
    text = escape(grid.text(row))
    return f"[bold]{text}[/bold]" if grid.is_best(row) else text


def _markdown(grid: Grid) -> list[str]:
    header = ["method", *(f"{length:,}" for length in grid.lengths)] + ["effective length"] * bool(grid.effective)
    body = []
    for label in grid.labels:
        cells = [_escaped(label)]
        for length in grid.lengths:
            row = grid.rows.get((label, length))
            text = "-" if row is None else grid.text(row)
            cells.append(f"**{text}**" if row is not None and grid.is_best(row) else text)
        body.append(cells + [grid.effective_text(label)] * bool(grid.effective))
    footer = ["samples (contexts)", *(grid.counts(length) for length in grid.lengths)] + [""] * bool(grid.effective)
    aligned = ["---"] + ["---:"] * (len(header) - 1)
    return [f"| {' | '.join(cells)} |" for cells in (header, aligned, *body, footer)]


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _range(counts: list[int]) -> str:
    return "-".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else ""
