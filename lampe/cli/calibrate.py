"""`lampe calibrate`: LaMPE's mapping span, fitted to a model."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from rich.table import Table

from lampe.calibration import Calibrated, Settings, calibrate
from lampe.calibration.fit import solver
from lampe.calibration.meter import Step
from lampe.checkpoint import resolve
from lampe.cli import options
from lampe.cli.console import INTERRUPTED, QUIET_SECONDS, SaidColumn, progress_bar, stderr, stdout, times
from lampe.cli.evaluate import read_lengths
from lampe.cli.options import load_llm
from lampe.errors import ConfigError, MissingExtraError
from lampe.evaluation import Budget, pair_cost
from lampe.evaluation.compare import Store
from lampe.files import expanded, write_whole
from lampe.positional import Profile
from lampe.positional.profile import BESIDE, Measured
from lampe.registry import validate

PROFILE, SPANS, CURVE = "profile.json", "spans.png", "curve.png"

SEARCH, CONTEXTS = "Search", "Contexts"
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def calibrate_command(
    checkpoint: options.Checkpoint,
    objective: Annotated[
        str,
        typer.Option(metavar="NAME", help="perplexity (loss of last tokens) or retrieval (loss of hidden numbers)."),
    ] = "perplexity",
    lengths: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            rich_help_panel=CONTEXTS,
            help="Context lengths. Default: 1/2, 1, 3/2, 2 and 3 trained windows.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=CONTEXTS,
            show_default=False,
            help="A file, a folder of .txt, or a name: python, python-library (default); repeatable.",
        ),
    ] = None,
    places: Annotated[int, typer.Option(metavar="N", rich_help_panel=CONTEXTS, help="Contexts of each document.")] = 3,
    last: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=CONTEXTS, help="Perplexity scores the last N tokens.")
    ] = 512,
    keys: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=CONTEXTS, help="Retrieval hides N numbers in each context.")
    ] = 2,
    head: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=SEARCH, show_default=False, help="Default: window / 16."),
    ] = None,
    tail: Annotated[int, typer.Option(metavar="N", rich_help_panel=SEARCH, help="In tokens; 0 for none.")] = 200,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="A", rich_help_panel=SEARCH, show_default=False, help="Default: 1.069315."),
    ] = None,
    search: Annotated[
        str,
        typer.Option(metavar="PART,...", rich_help_panel=SEARCH, help="Look for these too: head, tail, temperature."),
    ] = "",
    lowest: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=SEARCH, show_default=False, help="Least span. Default: window / 8."),
    ] = None,
    finest: Annotated[
        float, typer.Option(metavar="R", rich_help_panel=SEARCH, help="Spans closer than this ratio are one.")
    ] = 1.1,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", show_default=False, help="90s, 20m or 2h: begin nothing that would end later."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=expanded, metavar="FOLDER", help="Of losses, profile and pictures. Default: out/calibrate-NAME."
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help=f"Also write {BESIDE} beside the checkpoint, where LaMPE finds it.")
    ] = False,
    as_json: options.Json = False,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    attention: options.Attention = "auto",
) -> None:
    """Fit LaMPE's mapping span to a model: its loss over spans and lengths, and the curve through the best spans.

    Each loss is kept in FOLDER/results.jsonl as it is made. Killed or stopped, the same command goes on where it was.
    FOLDER/profile.json is what `LaMPE(profile=...)` and `-p lampe:profile=...` take.

    [dim]lampe calibrate ./model --budget 20m --install[/dim]
    """
    settings = validate(
        Settings,
        {
            "objective": objective,
            "texts": tuple(text or Settings.model_fields["texts"].default),
            "places": places,
            "tokens": last,
            "keys": keys,
            "lengths": None if lengths is None else tuple(read_lengths(lengths)),
            "head": head,
            "tail": tail,
            "temperature": temperature,
            "lowest": lowest,
            "finest": finest,
            "search": tuple(part for part in search.split(",") if part),
        },
        "calibrate",
    )
    seconds = None if budget is None else read_time(budget)
    solver()
    folder = resolve(checkpoint)
    # A hub name is called by its last part; the folder that it was brought to is called by a hash.
    name = Path(checkpoint).resolve().name
    place = out or Path("out") / f"calibrate-{name}"
    with Store(place) as store:
        llm = load_llm(str(folder), dtype=dtype, device=device, attention=attention)
        limit = Budget(seconds, pair_cost(llm.config))
        found = _measure(llm, settings, store, limit, name)
    if found is None:
        stderr.print(f"interrupted: what was measured is in {place}; the same command goes on", style="dim")
        raise typer.Exit(INTERRUPTED)
    document = to_json(found.profile, indent=2) + b"\n"
    # A calibration that went wrong must not take the place of one that did not.
    Profile.from_json(document, f"{place / PROFILE} was not written, since it would not load again")
    write_whole(place / PROFILE, document)
    if install:
        write_whole(folder / BESIDE, document)
    _draw(found.profile, place, title=name)
    for missing in found.left_out:
        stderr.print(f"no time for {missing}; the same command goes on", style="dim", markup=False)
    if as_json:
        typer.echo(document.decode())
        return
    measured = found.profile.measured
    assert measured is not None
    stdout().print(_table(found.profile, measured))
    typer.echo(f"{found.profile.formula()}; off the best spans by {measured.fit_error:.1%}")
    where = f" and {folder / BESIDE}" if install else ""
    typer.echo(f"wrote {place / PROFILE}{where}; use it as -p lampe:profile={place / PROFILE}")


def read_time(text: str) -> float:
    """Seconds of a time such as 90s, 20m or 1.5h.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if match is None:
        raise ConfigError(f"--budget {text}: expected a number of seconds, minutes or hours, such as 90s, 20m or 1.5h")
    return float(match[1]) * UNITS[match[2]]


def _measure(llm: Any, settings: Settings, store: Store, budget: Budget, name: str) -> Calibrated | None:
    """Run it with its progress; None where Ctrl-C ended it."""
    said = time.monotonic()

    def clocks(left: float) -> str:
        return times(budget.elapsed, min(left, budget.left))

    with progress_bar(SaidColumn(lambda task: clocks(task.fields["left"]))) as progress:
        bar = progress.add_task("making the contexts", total=None, left=0.0)
        doing = ""

        def stage(what: str) -> None:
            nonlocal doing
            doing = what
            progress.update(bar, description=what, total=None)

        def started(step: Step) -> None:
            nonlocal said
            progress.update(
                bar,
                description=f"{doing}: {step.variant.label}",
                completed=step.context,
                total=step.contexts,
                left=step.left,
            )
            if not stderr.is_terminal and time.monotonic() - said > QUIET_SECONDS:
                said = time.monotonic()
                stderr.print(f"{clocks(step.left)}; {doing}: {step.variant.label}", markup=False)

        try:
            return calibrate(llm, settings, store, budget, name=name, stage=stage, started=started)
        except KeyboardInterrupt:
            return None


def _draw(profile: Profile, folder: Path, *, title: str) -> None:
    try:
        from lampe.plots import plot_profile, plot_spans

        plot_spans(profile, folder / SPANS, title=f"{title}: loss against span")
        plot_profile(profile, folder / CURVE, title=f"{title}: the fitted curve")
    except MissingExtraError as error:
        stderr.print(f"no pictures: {error}", style="dim", markup=False)


def _table(profile: Profile, measured: Measured) -> Table:
    shown = Table("length", "best span", "as good", "loss", "spans tried", "contexts", "the curve")
    for column in shown.columns:
        column.justify = "right"
    for point in measured.points:
        best = next(tried for tried in point.tried if tried.span == point.span)
        shown.add_row(
            f"{point.length:,}",
            f"{point.span:,}" if point.mapped else "true positions",
            f"{point.low:,} to {point.high:,}",
            f"{best.loss:.4f}",
            str(len(point.tried)),
            str(best.contexts),
            f"{min(profile.span(point.length), point.length - 1):,}",
        )
    return shown
