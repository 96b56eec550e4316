"""The tables of docs/study.md, from what `make study` wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from lampe.evaluation.compare.rows import Row
from lampe.evaluation.compare.tables import MARKS

SUMMARY = Path(__file__).resolve().parent.parent / "examples" / "smollm2" / "results" / "summary.json"
RULER = "ruler, mean of 4 tasks"
TASKS = ("perplexity", "passkey", "niah-single-1", "kv-retrieval", "niah-multikey-2", "fwe", "vt")


@cache
def _rows(summary: Path) -> list[Row]:
    # A figure that is not finite is null in JSON.
    rows = (item | {"figure": math.nan if item["figure"] is None else item["figure"]} for item in _items(summary))
    return [Row.model_validate(row) for row in rows]


def _items(summary: Path) -> list[dict[str, Any]]:
    content = json.loads(summary.read_text())
    items: list[dict[str, Any]] = content["rows"] + content["suites"]
    return items


Cell = Callable[[Row], str]


def figure(row: Row) -> str:
    """The figure of a row, and whether it is better or worse than the baseline's."""
    return f"{row.shown} {MARKS[row.verdict]}".strip()


def difference(row: Row) -> str:
    """The difference to the baseline with its interval; nothing for the baseline itself."""
    parts = (row.shown_difference, row.difference_interval, MARKS[row.verdict])
    return " ".join(part for part in parts if part) or "-"


def table(task: str, summary: Path = SUMMARY, cell: Cell = figure) -> str:
    """Methods down, lengths across; the last row says how many samples, and contexts, the figures rest on."""
    rows = {(row.method, row.length): row for row in _rows(summary) if row.task == task}
    if not rows:
        return "Not measured yet."
    lengths = sorted({length for _, length in rows})
    lines = [f"| {task} | {' | '.join(f'{length:,}' for length in lengths)} |", "|---" * (len(lengths) + 1) + "|"]
    for method in dict.fromkeys(method for method, _ in rows):
        found = (rows.get((method, length)) for length in lengths)
        lines.append(f"| {method} | {' | '.join(cell(row) if row else '-' for row in found)} |")
    counts = (_counts([row for (_, n), row in rows.items() if n == length]) for length in lengths)
    return "\n".join([*lines, f"| *samples (contexts)* | {' | '.join(counts)} |"])


def _counts(rows: list[Row]) -> str:
    kinds = sorted({(row.samples, row.contexts) for row in rows})
    return ", ".join(f"{samples} ({contexts})" for samples, contexts in kinds)


GENERATED: dict[str, Callable[[], str]] = {
    "study_ruler": partial(table, RULER),
    **{f"study_{task.replace('-', '_')}": partial(table, task) for task in TASKS},
}
