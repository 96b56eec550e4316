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


def table(task: str, summary: Path = SUMMARY, *, intervals: bool = False) -> str:
    """Methods down, lengths across; the last row says how many samples, and contexts, the figures rest on."""
    rows = {(row["method"], row["length"]): row for row in _rows(summary) if row["task"] == task}
    if not rows:
        return "Not measured yet."
    lengths = sorted({length for _, length in rows})
    lines = [f"| {task} | {' | '.join(f'{length:,}' for length in lengths)} |", "|---" * (len(lengths) + 1) + "|"]
    for method in dict.fromkeys(method for method, _ in rows):
        cells = (_cell(rows.get((method, length)), intervals) for length in lengths)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    counts = (_counts([row for (_, n), row in rows.items() if n == length]) for length in lengths)
    return "\n".join([*lines, f"| *samples (contexts)* | {' | '.join(counts)} |"])


def _cell(row: dict[str, Any] | None, intervals: bool) -> str:
    if row is None:
        return "-"
    if row["figure"] is None:
        return "not finite"
    shown = evaluation.registry.get(row["kind"]).shown
    interval = f" ({shown(row['low'])} to {shown(row['high'])})" if intervals and row["low"] is not None else ""
    return f"{shown(row['figure'])}{interval}{ {'better': ' ▲', 'worse': ' ▼', None: ''}[row['verdict']] }"


def _counts(rows: list[dict[str, Any]]) -> str:
    kinds = sorted({(row["samples"], row["contexts"]) for row in rows})
    return ", ".join(f"{samples} ({contexts})" for samples, contexts in kinds)


GENERATED: dict[str, Callable[[], str]] = {f"study_{task.replace('-', '_')}": partial(table, task) for task in TASKS}
