"""`lampe inspect`: what a positional method does at a length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lampe.checkpoint import read_config, resolve
from lampe.cli import options
from lampe.cli.console import print_json, spinner, stdout
from lampe.cli.inspect_all import inspect_all
from lampe.cli.options import positional_config
from lampe.cli.specs import spec_text
from lampe.config import RopeConfig
from lampe.errors import ConfigError
from lampe.files import expanded
from lampe.inspection import PlanFacts, plan_facts, save_picture
from lampe.inspection.picture import check_picture_path
from lampe.positional import PositionalEncoding, create
from lampe.registry import validate

ROPE = "RoPE of the model"
DEFAULTS = {"window": 8192, "theta": 10000.0, "dim": 128}


def inspect(
    length: Annotated[int, typer.Option("--length", "-n", metavar="N", help="Plan for N tokens.")],
    method: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD",
            show_default=False,
            help="A name, name:field=value:..., a JSON object or a .json file.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field of the method; repeatable.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every method, set for N tokens; --out draws the gallery.")
    ] = False,
    for_length: options.ForLength = None,
    out: Annotated[
        Path | None, typer.Option(parser=expanded, metavar="FILE", help="Draw a picture: .png, .pdf or .svg.")
    ] = None,
    as_json: options.Json = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", rich_help_panel=ROPE, help="Read it from a checkpoint; no weights needed."),
    ] = None,
    layer: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=ROPE, help="Whose sliding window counts, with --checkpoint.")
    ] = 0,
    window: Annotated[
        int | None,
        typer.Option(
            metavar="L", rich_help_panel=ROPE, help=f"Trained window in tokens. Default: {DEFAULTS['window']}"
        ),
    ] = None,
    theta: Annotated[
        float | None,
        typer.Option(
            metavar="X", rich_help_panel=ROPE, help=f"Base of the frequencies. Default: {DEFAULTS['theta']:g}"
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(metavar="D", rich_help_panel=ROPE, help=f"Rotary dimension. Default: {DEFAULTS['dim']}"),
    ] = None,
) -> None:
    """Show how a method positions N tokens: its regions, its largest relative position, what the last query reaches.

    --out draws the map of relative positions, the positions that the last query sees, how often each is used, and the
    frequencies.

    [dim]lampe inspect lampe:head=512:span=4501 --length 32768 --out lampe.png[/dim]

    [dim]lampe inspect --all --length 16384 --out gallery.png[/dim]
    """
    if every == (method is not None):
        raise ConfigError("lampe inspect takes either a method or --all")
    if every and (settings or for_length):
        raise ConfigError(f"{'--set' if settings else '--for-length'}: not together with --all, which sets each method")
    if out is not None:
        check_picture_path(out)
    given = {name: value for name, value in (("window", window), ("theta", theta), ("dim", dim)) if value is not None}
    rope, sliding_window = _by_hand(given) if checkpoint is None else _of_checkpoint(checkpoint, layer, given)
    if every:
        inspect_all(rope, length, sliding_window, out, as_json)
        return
    config = positional_config(method, settings)
    assert config is not None
    encoding = create(config, rope)
    if for_length is not None:
        encoding = encoding.for_length(for_length)
    _inspect_one(encoding, length, config.window_of(sliding_window), out, as_json)


def _inspect_one(
    encoding: PositionalEncoding, length: int, sliding_window: int | None, out: Path | None, as_json: bool
) -> None:
    with spinner(f"planning {length:,} tokens"):
        facts = plan_facts(encoding, length, sliding_window=sliding_window)
        if out is not None:
            save_picture(encoding, length, out, sliding_window=sliding_window)
    if as_json:
        print_json(facts.model_dump(mode="json"))
        return
    console = stdout()
    console.print(f"{spec_text(encoding.config)} at {length:,} tokens", style="bold", markup=False)
    console.print(_regions(facts))
    console.print()
    console.print(_facts(facts))
    if out is not None:
        typer.echo(f"wrote {out}")


def _by_hand(given: dict[str, float]) -> tuple[RopeConfig, None]:
    fields = {**DEFAULTS, **given}
    window = fields["window"]
    rope = {"theta": fields["theta"], "dim": fields["dim"], "max_position": window, "original_window": window}
    return validate(RopeConfig, rope, "--window, --theta, --dim"), None


def _of_checkpoint(checkpoint: str, layer: int, given: dict[str, float]) -> tuple[RopeConfig, int | None]:
    if given:
        names = ", ".join(f"--{name}" for name in given)
        raise ConfigError(f"{names}: not together with --checkpoint, whose config.json says it")
    config = read_config(resolve(checkpoint))
    if not 0 <= layer < config.n_layers:
        raise ConfigError(f"layer = {layer}: {checkpoint} has layers 0 to {config.n_layers - 1}")
    return config.rope, config.window_of(layer)


def _regions(facts: PlanFacts) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("region", "distances, last query", "relative positions", "pairs", "share"):
        table.add_column(column, header_style="dim", justify="left" if column == "region" else "right")
    for region in facts.regions:
        read = region.nearest is not None
        distances = f"{region.nearest:,} to {region.farthest:,}" if read else "none"
        positions = f"{_number(region.lowest)} to {_number(region.highest)}" if read else "none"
        table.add_row(region.name, distances, positions, f"{region.pairs:,}", _share(region.share))
    if facts.dropped_pairs:
        share = facts.dropped_pairs / (facts.length * (facts.length + 1) // 2)
        table.add_row("not attended", "", "", f"{facts.dropped_pairs:,}", _share(share), style="dim")
    return table


def _facts(facts: PlanFacts) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row("trained window", f"{facts.trained_window:,}")
    if facts.position_limit is None:
        table.add_row("position limit", "none")
    elif facts.position_limit != facts.trained_window:
        table.add_row("window of the scaled frequencies", _number(facts.position_limit))
    if facts.sliding_window is not None:
        table.add_row("sliding window", f"{facts.sliding_window:,}")
    verdict = "[green]inside[/]" if facts.inside else "[red]outside[/]"
    table.add_row("largest relative position", f"{_number(facts.largest_position)} ({verdict})")
    share = facts.tokens_reached / facts.length
    table.add_row("tokens reached by the last query", f"{facts.tokens_reached:,} of {facts.length:,} ({share:.1%})")
    table.add_row("distinct positions it sees", f"{facts.distinct_positions:,}")
    table.add_row("cached keys a decode step rotates", f"{facts.rotated_keys:,}")
    table.add_row("temperature A", f"{facts.temperature:.6g} (logits x {facts.temperature**2:.6g})")
    log_n = "off" if facts.log_n_window is None else f"max(1, ln(i + 1) / ln({facts.log_n_window}))"
    table.add_row("log-n scaling of query i", log_n)
    low, high = min(facts.frequency_ratio), max(facts.frequency_ratio)
    table.add_row("inv_freq over plain RoPE's", f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}")
    return table


def _share(share: float) -> str:
    return "<0.01%" if 0 < share < 5e-5 else f"{share:.2%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"
