"""`lampe list`: what the registries hold."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.table import Table
from rich.text import Text

from lampe.attention import registry as backends
from lampe.cli import options
from lampe.cli.console import print_json, spinner, stdout
from lampe.config import PositionalConfig, RopeConfig
from lampe.errors import UnknownNameError, closest
from lampe.inspection import MethodOverview, overview
from lampe.models import registry as families
from lampe.positional import registry as methods
from lampe.positional.base import FAMILIES, LONGEST
from lampe.registry import Entry, Registry

FIGURES = ("reach", "for 2 L", "for 4 L", "rotated")
KINDS = ("methods", "backends", "families", "tasks")


def list_registered(
    kind: Annotated[
        str | None, typer.Argument(metavar="|".join(KINDS), show_default=False, help="Default: all.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Of methods: family, what they change of plain RoPE, reach, and what a decode step costs.",
        ),
    ] = False,
    window: Annotated[
        int,
        typer.Option(
            metavar="L", min=64, max=LONGEST // 8, help="Trained window that --verbose reckons with, in tokens."
        ),
    ] = 8192,
    as_json: options.Json = False,
) -> None:
    """List positional methods, attention backends, model families and evaluation tasks, with their papers.

    Below a method stand the fields of its own. Every method also takes temperature, log_n, length, original_window and
    sliding_window.

    --verbose says how long an input a method maps inside the trained window L: as it is, and set for 2 L and 4 L.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(f"unknown list {kind!r}{closest(kind, KINDS)}; there are: {', '.join(KINDS)}")
    chosen = {name: _registry(name) for name in ([kind] if kind else KINDS)}
    known = _overviews(window) if verbose and "methods" in chosen else {}
    if as_json:
        document = {name: [_as_json(entry) for entry in _entries(registry)] for name, registry in chosen.items()}
        for row in document.get("methods", ()):
            row.update(known[row["name"]].model_dump(mode="json") if known else {})
        print_json(document)
        return
    console = stdout()
    for index, (name, registry) in enumerate(chosen.items()):
        if index:
            console.print()
        console.print(_verbose_table(known, window) if known and name == "methods" else _table(name, registry))


def _overviews(window: int) -> dict[str, MethodOverview]:
    rope = RopeConfig(dim=128, max_position=window, original_window=window)
    with spinner("planning"):
        known = [overview(name, rope) for name in methods.names()]
    return {about.name: about for about in sorted(known, key=lambda about: FAMILIES.index(about.family))}


def _verbose_table(known: dict[str, MethodOverview], window: int) -> Table:
    table = Table(
        title=f"methods, for a trained window L of {window:,} tokens",
        caption="reach: the longest input mapped inside L, as the method is and set for 2 L and for 4 L. "
        "Every method caches one K and one V a token; rotated: cached keys that a decode step at 4 L rotates.",
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in ("name", "family", "changes", *FIGURES, "paper"):
        table.add_column(column, header_style="dim", justify="right" if column in FIGURES else "left")
    for about in known.values():
        changes = Text(", ".join(about.changes) or ("" if about.needs else "nothing"))
        formula, drops = f"reach: {about.reach_formula}", f"drops {about.drops}" if about.drops else ""
        for note in filter(None, (formula if about.reach_formula else "", drops, about.needs)):
            changes.append(f"\n{note}" if changes else note, style="dim")
        reaches = (about.reach, about.reach_2x, about.reach_4x)
        figures = ["no end" if reach is None else f"{reach:,}" for reach in reaches]
        figures = [""] * 4 if about.needs else [*figures, f"{about.rotated_keys:,}"]
        family = f"{about.family}\n(experiment)" if about.experimental else about.family
        table.add_row(about.name, family, changes, *figures, _link(about.paper))
    return table


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
