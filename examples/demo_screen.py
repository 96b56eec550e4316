"""What the demo shows while it works."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table

from lampe.cli.console import SaidColumn, times
from lampe.evaluation import Budget, Perplexity, Record, Runner, Work
from lampe.positional import LaMPE, PositionWarning

COLUMNS = (
    SpinnerColumn(),
    TextColumn("{task.description}"),
    BarColumn(24),
    TextColumn("{task.completed} of {task.total}"),
)


def positions_table(runners: Sequence[Runner], methods: Mapping[str, Mapping[str, Any]], length: int) -> Table:
    """The farthest relative position each method meets, and how far it may go."""
    shown = Table("method", "config", "farthest position", "limit", box=None, padding=(0, 2), header_style="dim")
    for runner in runners:
        positional = runner.llm.positional
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PositionWarning)
            largest = positional.plan(length).largest_position()
        limit = positional.position_limit(length)
        style = "red" if largest >= limit else "green"
        stated = {**methods[runner.label]}
        if isinstance(positional, LaMPE):
            stated |= {"head": positional.head, "span": positional.span(length)}
        config = ", ".join(f"{k} {v}" for k, v in stated.items() if k != "kind")
        shown.add_row(runner.label, config, f"[{style}]{largest:,.0f}[/{style}]", f"{limit:,.0f}")
    return shown


def left_column(budget: Budget, todo: Mapping[Any, tuple[str, Work]]) -> SaidColumn:
    """Time gone and the time that is still to come, once something was measured."""

    def says(task: Task) -> str:
        left = min(budget.predict(list(todo.values())), budget.left)
        return times(budget.elapsed, left) if task.completed else ""

    return SaidColumn(says)


def score_line(record: Record) -> str:
    """One score in words."""
    head = f"  {record.setting.label:<6} {record.length:>6,} tokens  "
    if record.kind == "perplexity":
        said = f"perplexity {Perplexity.show([record.score])} at place {record.trial + 1}"
    else:
        answer = escape(repr(" ".join((record.output or "").split())[:24]))
        said = f"key {record.references[0]} at {record.facts['depth']:.0%}: {answer} {'✓' if record.score else '✗'}"
    return f"{head}{said}  [dim]{record.seconds:.1f} s[/dim]"


def resident_memory() -> int | None:
    """The largest resident memory of this process so far, in bytes, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
