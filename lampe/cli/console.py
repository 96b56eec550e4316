"""What goes to which stream: answers, tables and JSON to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

QUIET_SECONDS = 60.0
"""How often a run whose output goes to a file says how far it is."""

PIPED_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""

stderr = Console(stderr=True, highlight=False)


def stdout() -> Console:
    """A console for tables."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else PIPED_WIDTH, highlight=False)


def print_json(document: Any) -> None:
    """Write one JSON document to stdout."""
    print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)


def print_error(message: str) -> None:
    """Write the sentence that bad input gets, in one line whatever the width of the terminal."""
    stderr.print("[bold red]error:[/]", end=" ")
    stderr.print(" ".join(message.split()), markup=False, soft_wrap=True)


@contextlib.contextmanager
def dim_warnings() -> Iterator[None]:
    """Show every warning as one dim line on stderr."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        stderr.print(f"warning: {' '.join(str(message).split())}", style="dim", markup=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def times(gone: float, left: float) -> str:
    """Seconds gone and still to come, where those are known."""
    return f"{clock(gone)} gone, {clock(left)} left" if left > 0 else f"{clock(gone)} gone"


class SaidColumn(ProgressColumn):
    """What a function says of a task, twice a second: a time left is predicted anew each time."""

    max_refresh = 0.5

    def __init__(self, says: Callable[[Task], str]):
        super().__init__()
        self._says = says

    def render(self, task: Task) -> Text:
        return Text(self._says(task))


def spinner(task: str) -> contextlib.AbstractContextManager[Any]:
    """Show that `task` is running and for how long, where stderr is a terminal; vanishes afterwards."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    progress.add_task(task, total=None)
    return progress


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A bar for work whose steps are known, on stderr.

    Args:
        columns: behind the bar, instead of the time gone.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(columns or [TimeElapsedColumn()]),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
