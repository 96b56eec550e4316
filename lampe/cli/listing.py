"""`lampe list`: what the registries hold."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.table import Table
from rich.text import Text

from lampe.attention import registry as backends
from lampe.cli import options
from lampe.cli.console import print_json, stdout
from lampe.config import PositionalConfig
from lampe.errors import UnknownNameError, closest
from lampe.models import registry as families
from lampe.positional import registry as methods
from lampe.registry import Entry, Registry

KINDS = ("methods", "backends", "families", "tasks")


def list_registered(
    kind: Annotated[
        str | None, typer.Argument(metavar="|".join(KINDS), show_default=False, help="Default: all.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List positional methods, attention backends, model families and evaluation tasks, with their papers.

    Below a method stand the fields of its own. Every method also takes temperature, log_n, length, original_window and
    sliding_window.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(f"unknown list {kind!r}{closest(kind, KINDS)}; there are: {', '.join(KINDS)}")
    chosen = {name: _registry(name) for name in ([kind] if kind else KINDS)}
    if as_json:
        print_json({name: [_as_json(entry) for entry in _entries(registry)] for name, registry in chosen.items()})
        return
    console = stdout()
    for index, (name, registry) in enumerate(chosen.items()):
        if index:
            console.print()
        console.print(_table(name, registry))


def _registry(kind: str) -> Registry[Any]:
    if kind == "tasks":
        from lampe.evaluation import registry as tasks

        return tasks
    known: dict[str, Registry[Any]] = {"methods": methods, "backends": backends, "families": families}
    return known[kind]


def _entries(registry: Registry[Any]) -> list[Entry[Any]]:
    return [registry.entry(name) for name in registry.names()]


def _as_json(entry: Entry[Any]) -> dict[str, Any]:
    fields = entry.cls.Config.model_fields
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "paper": entry.paper,
        "fields": [field for field in fields if field != "kind"],
    }


def _table(kind: str, registry: Registry[Any]) -> Table:
    table = Table(title=kind, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("name", "summary", "paper"):
        table.add_column(column, header_style="dim", no_wrap=column != "summary")
    for entry in _entries(registry):
        about = Text(entry.summary)
        own = [field for field in entry.cls.Config.model_fields if field not in PositionalConfig.model_fields]
        if kind == "methods" and own:
            about.append(f"\n{', '.join(own)}", style="dim")
        table.add_row(", ".join([entry.name, *entry.aliases]), about, _link(entry.paper))
    return table


def _link(paper: str | None) -> Text:
    """The arXiv number, else the site; a terminal that can makes it a link."""
    if paper is None:
        return Text()
    arxiv = paper.removeprefix("https://arxiv.org/abs/")
    shown = f"arXiv {arxiv}" if arxiv != paper else (urlsplit(paper).hostname or paper)
    return Text(shown, style=f"link {paper}")
