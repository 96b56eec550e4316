"""The tables of docs/study.md, from what `make study` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from lampe import evaluation

SUMMARY = Path(__file__).resolve().parent.parent / "examples" / "smollm2" / "results" / "summary.json"
TASKS = ("perplexity", "passkey", "niah-single-1", "kv-retrieval", "niah-multikey-2", "fwe", "vt")


@cache
def _rows(summary: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(summary.read_text())["rows"]
    return rows


Cell = Callable[[dict[str, Any]], str]


def figure(row: dict[str, Any]) -> str:
    """The figure of a row, and whether it is better or worse than the baseline's."""
    if row["figure"] is None:
        return "not finite"
    return f"{_shown(row)(row['figure'])}{_mark(row)}"


def difference(row: dict[str, Any]) -> str:
    """The difference to the baseline with its interval; nothing for the baseline itself."""
    if row["difference"] is None:
        return "-"
    shown = _shown(row)

    def signed(value: float) -> str:
        return f"{'−' if value < 0 else '+'}{shown(abs(value))}"

    around = f" ({signed(row['diff_low'])} to {signed(row['diff_high'])})" if row["diff_low"] is not None else ""
    return f"{signed(row['difference'])}{around}{_mark(row)}"


def table(task: str, summary: Path = SUMMARY, cell: Cell = figure) -> str:
    """Methods down, lengths across; the last row says how many samples, and contexts, the figures rest on."""
    rows = {(row["method"], row["length"]): row for row in _rows(summary) if row["task"] == task}
    if not rows:
        return "Not measured yet."
    lengths = sorted({length for _, length in rows})
    lines = [f"| {task} | {' | '.join(f'{length:,}' for length in lengths)} |", "|---" * (len(lengths) + 1) + "|"]
    for method in dict.fromkeys(method for method, _ in rows):
        found = (rows.get((method, length)) for length in lengths)
        lines.append(f"| {method} | {' | '.join(cell(row) if row else '-' for row in found)} |")
    counts = (_counts([row for (_, n), row in rows.items() if n == length]) for length in lengths)
    return "\n".join([*lines, f"| *samples (contexts)* | {' | '.join(counts)} |"])


def _shown(row: dict[str, Any]) -> Callable[[float], str]:
    return evaluation.registry.get(row["kind"]).shown


def _mark(row: dict[str, Any]) -> str:
    return {"better": " ▲", "worse": " ▼", None: ""}[row["verdict"]]


def _counts(rows: list[dict[str, Any]]) -> str:
    kinds = sorted({(row["samples"], row["contexts"]) for row in rows})
    return ", ".join(f"{samples} ({contexts})" for samples, contexts in kinds)


GENERATED: dict[str, Callable[[], str]] = {f"study_{task.replace('-', '_')}": partial(table, task) for task in TASKS}
