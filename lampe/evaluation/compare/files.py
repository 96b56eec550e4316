"""The files of a report without pictures: JSON, CSV, Markdown."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pydantic_core import to_json

from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.statistics import CONFIDENCE, SEED
from lampe.evaluation.compare.tables import markdown
from lampe.files import write_whole

COLUMNS = (
    *("model", "task", "method", "length", "figure", "low", "high", "samples", "contexts"),
    *("difference", "diff_low", "diff_high", "pairs", "unit", "tasks", "nonfinite", "verdict"),
)


def write_summary(report: Report, folder: str | Path) -> list[Path]:
    """Write summary.json, summary.csv and summary.md; each is there whole or not at all.

    Args:
        folder: made where it is missing.
    """
    folder = Path(folder)
    content = {
        "title": report.title,
        "about": dict(report.about),
        "baseline": report.baseline,
        "windows": dict(report.windows),
        "bootstrap": {"confidence": CONFIDENCE, "resamples": report.resamples, "seed": SEED},
        "rows": [row.model_dump() for row in report.rows],
        "suites": [row.model_dump() for row in report.suite_rows],
        "effective_lengths": [found.model_dump() for found in report.effective],
        "notes": [note._asdict() for note in report.notes],
    }
    # JSON has no infinity and no NaN: such a figure becomes null, and its row counts the scores that made it so.
    json = to_json(content, indent=2, inf_nan_mode="null") + b"\n"
    return [
        write_whole(folder / "summary.json", json),
        write_whole(folder / "summary.csv", _csv(report).encode()),
        write_whole(folder / "summary.md", markdown(report).encode()),
    ]


def _csv(report: Report) -> str:
    """A row for each model, task, method and length; the means of suites at the end."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in (*report.rows, *report.suite_rows))
    return file.getvalue()
