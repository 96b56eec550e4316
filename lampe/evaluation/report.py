"""Records put together: figures, a table, a JSON file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from rich.markup import escape
from rich.table import Table

from lampe.evaluation.base import Fact, Record, Task, registry
from lampe.files import write_whole

Column = tuple[int, Fact | None]
"""A length in tokens, and the value of the fact that figures are split by, or None for all values."""


@dataclass(frozen=True)
class Summary:
    """The scores of one task by method and column.

    Attributes:
        name: of the task, as tables call it.
        task: its class.
        labels: the methods, in the order they are shown in.
        columns: ascending.
        scores: of each method and column that was reached.
    """

    name: str
    task: type[Task]
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    scores: dict[tuple[str, Column], tuple[float, ...]]

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths in tokens, ascending."""
        return tuple(dict.fromkeys(length for length, _ in self.columns))

    def value(self, label: str, length: int, fact: Fact | None = None) -> float | None:
        """The figure of a method in a column, or None where that was not reached."""
        scores = self.scores.get((label, (length, fact)))
        return self.task.aggregate(scores) if scores else None

    def shown(self, label: str, length: int, fact: Fact | None = None) -> str:
        """That figure as a table shows it."""
        scores = self.scores.get((label, (length, fact)))
        return self.task.show(scores) if scores else "-"

    def count(self, label: str, length: int, fact: Fact | None = None) -> int:
        """How many samples that figure rests on."""
        return len(self.scores.get((label, (length, fact)), ()))


def summarise(
    records: Iterable[Record],
    name: str,
    *,
    labels: Sequence[str] = (),
    lengths: Sequence[int] = (),
    by: str | None = None,
    values: Sequence[Fact] = (),
) -> Summary:
    """Put the records of one task together.

    Args:
        records: of any tasks.
        name: of the task; where no record has it, its registered name.
        labels: methods that are shown even where nothing of them was reached; those of the records follow.
        lengths: likewise, in tokens.
        by: a fact by whose values the figures of a length are split, e.g. "depth".
        values: of that fact, likewise.
    """
    scores: dict[tuple[str, Column], tuple[float, ...]] = {}
    kind = name
    for record in records:
        if record.name == name:
            kind = record.kind
            key = record.setting.label, (record.length, record.facts[by] if by else None)
            scores[key] = (*scores.get(key, ()), record.score)
    expected = {(length, value) for length in lengths for value in (values if by else [None])}
    columns = sorted(expected | {column for _, column in scores}, key=lambda column: (column[0], column[1] or 0))
    shown = tuple(dict.fromkeys([*labels, *(label for label, _ in scores)]))
    return Summary(name, registry.get(kind), shown, tuple(columns), scores)


def table(summary: Summary, *, title: str = "") -> Table:
    """A row for each method, a column for each length, and below how many samples the figures rest on.

    The best figure of a column is bold. Where the methods of a column rest on different numbers of samples, each figure
    says its own.
    """
    shown = Table(title=title or None, title_justify="left", title_style="bold", show_footer=True)
    shown.add_column("tokens", footer="samples", no_wrap=True, max_width=72)
    uneven = set()
    for length, fact in summary.columns:
        counts = {count for label in summary.labels if (count := summary.count(label, length, fact))}
        if len(counts) > 1:
            uneven.add((length, fact))
        header = f"{length:,}" if fact is None else f"{length:,}\n{_fact(fact)}"
        footer = "-".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else "-"
        shown.add_column(header, footer=footer, justify="right")
    for label in summary.labels:
        cells = []
        for length, fact in summary.columns:
            cell = summary.shown(label, length, fact)
            if (length, fact) in uneven and summary.count(label, length, fact):
                cell += f" ({summary.count(label, length, fact)})"
            if _is_best(summary, label, length, fact):
                cell = f"[bold]{cell}[/bold]"
            cells.append(cell)
        shown.add_row(escape(label), *cells)
    return shown


def write_json(path: Path, records: Sequence[Record], about: dict[str, Any] | None = None) -> None:
    """Write the figures, and every record with all that made it; the file is there whole or not at all.

    Args:
        path: its folder is made where it is missing.
        about: goes before them, as it is.
    """
    names = dict.fromkeys(record.name for record in records)
    figures = {name: _figures(summarise(records, name)) for name in names}
    content = {**(about or {}), "figures": figures, "records": [record.model_dump(mode="json") for record in records]}
    # JSON has no infinity and no NaN: a loss that is neither number becomes null.
    write_whole(path, to_json(content, indent=2, inf_nan_mode="null") + b"\n")


def _figures(summary: Summary) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        label: {
            str(length): {"value": summary.value(label, length), "samples": summary.count(label, length)}
            for length in summary.lengths
            if summary.count(label, length)
        }
        for label in summary.labels
    }


def _is_best(summary: Summary, label: str, length: int, fact: Fact | None) -> bool:
    values = [value for other in summary.labels if (value := summary.value(other, length, fact)) is not None]
    if len(set(values)) < 2:
        return False
    best = max(values) if summary.task.higher_is_better else min(values)
    return summary.value(label, length, fact) == best


def _fact(fact: Fact) -> str:
    return f"{fact:.0%}" if isinstance(fact, float) and 0 <= fact <= 1 else str(fact)
