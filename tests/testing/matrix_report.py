"""Ends a test run with the matrix it saw: methods down, properties across, in each cell the random plans tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAME = re.compile(r"test_matrix\.py::test_matrix\[(?P<method>.+)-(?P<column>[^-]+)\]$")


def cells(reports: list[pytest.TestReport]) -> dict[str, dict[str, int | None]]:
    """By method and property how many plans were tried, None where the property failed."""
    table: dict[str, dict[str, int | None]] = {}
    for report in reports:
        found = NAME.search(report.nodeid)
        if found and report.when == "call":
            plans = dict(report.user_properties).get("plans")
            table.setdefault(found["method"], {})[found["column"]] = plans if report.passed else None
    return table


def markdown(table: dict[str, dict[str, int | None]]) -> str:
    """The matrix as a Markdown table, with sums."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method, row in table.items():
        shown = [
            "" if column not in row else "FAILED" if row[column] is None else str(row[column]) for column in columns
        ]
        lines.append(f"| {method} | {' | '.join(shown)} |")
    totals = [sum(row.get(column) or 0 for row in table.values()) for column in columns]
    lines.append(f"| all | {' | '.join(map(str, totals))} |")
    return "\n".join(lines)


class MatrixReport:
    """The plug-in behind `--matrix FILE`."""

    def __init__(self, path: Path):
        self.path = path

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
        table = cells(reports)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(markdown(table) + "\n")
        plans = sum(tried or 0 for row in table.values() for tried in row.values())
        terminalreporter.write_line(
            f"matrix: {len(table)} methods, {sum(map(len, table.values()))} cells, {plans} random plans; {self.path}"
        )
