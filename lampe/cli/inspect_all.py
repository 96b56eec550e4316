"""`lampe inspect --all`: every method side by side."""

from __future__ import annotations

import warnings
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from lampe.cli.console import print_json, spinner, stdout
from lampe.cli.specs import spec_text
from lampe.config import PositionalConfig, RopeConfig
from lampe.errors import LampeError
from lampe.inspection import PlanFacts, plan_facts, save_gallery
from lampe.positional import PositionalEncoding, PositionWarning, ProfileWarning, create, registry
from lampe.positional.base import FAMILIES


def inspect_all(rope: RopeConfig, length: int, sliding_window: int | None, out: Path | None, as_json: bool) -> None:
    """Show every registered method, set for `length` tokens, as a table, as JSON, and as a gallery in `out`."""
    methods, refused = fitted_methods(rope, length)
    with spinner(f"planning {length:,} tokens with {len(methods)} methods"), warnings.catch_warnings():
        # The table says of each method whether it leaves the trained window.
        warnings.simplefilter("ignore", PositionWarning)
        warnings.simplefilter("ignore", ProfileWarning)
        facts = {label: _facts(method, length, sliding_window) for label, method in methods.items()} | refused
        if out is not None:
            save_gallery(methods, length, out, sliding_window=sliding_window)
    if as_json:
        print_json({label: _as_json(known) for label, known in facts.items()})
        return
    stdout().print(_table(facts, length))
    if out is not None:
        typer.echo(f"wrote {out}")


def fitted_methods(rope: RopeConfig, length: int) -> tuple[dict[str, PositionalEncoding], dict[str, str]]:
    """Every registered method set for `length` tokens, by its spec: plain RoPE, frequency, remap and window methods.

    The method that the checkpoint brings is set as the checkpoint says.

    Returns:
        The methods, and of those that cannot be made without more being said: what they say, by name.
    """
    names = sorted(registry.names(), key=lambda name: (name != "rope", FAMILIES.index(registry.get(name).family)))
    own = {} if rope.scaling is None else {rope.scaling.kind: rope.scaling}
    made = {name: _fitted(own.get(name, name), rope, length) for name in names}
    methods = {spec_text(method.config): method for method in made.values() if not isinstance(method, str)}
    return methods, {name: refusal for name, refusal in made.items() if isinstance(refusal, str)}


def _fitted(spec: str | PositionalConfig, rope: RopeConfig, length: int) -> PositionalEncoding | str:
    """A method set for a length, or why there is none."""
    try:
        return create(spec, rope).for_length(length)
    except LampeError as error:
        return str(error)


def _facts(method: PositionalEncoding, length: int, sliding_window: int | None) -> PlanFacts | str:
    """What there is to know, or why there is nothing."""
    try:
        return plan_facts(method, length, sliding_window=sliding_window)
    except LampeError as error:
        return str(error)


def _as_json(known: PlanFacts | str) -> dict[str, object]:
    return {"needs": known} if isinstance(known, str) else known.model_dump(mode="json")


def _table(facts: dict[str, PlanFacts | str], length: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"method, set for {length:,} tokens", header_style="dim", overflow="fold")
    for column in ("largest position", "limit", "", "last query reaches", "distinct", "not attended", "logits x"):
        table.add_column(column, header_style="dim", justify="right" if column else "left")
    for label, known in facts.items():
        if isinstance(known, str):
            table.add_row(f"{label}\n[dim]{escape(known)}[/]")
            continue
        dropped = known.dropped_pairs / (length * (length + 1) // 2)
        table.add_row(
            label,
            f"{known.largest_position:,.10g}",
            "none" if known.position_limit is None else f"{known.position_limit:,.10g}",
            "[green]inside[/]" if known.inside else "[red]outside[/]",
            f"{known.tokens_reached:,}",
            f"{known.distinct_positions:,}",
            f"{dropped:.1%}" if dropped else "",
            f"{known.temperature**2:.4g}",
        )
    return table
