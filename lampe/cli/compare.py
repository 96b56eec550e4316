"""`lampe compare`: models x methods x tasks x lengths, from one file, into one folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from typer.core import TyperCommand

from lampe.cli import options
from lampe.cli.console import INTERRUPTED, QUIET_SECONDS, SaidColumn, progress_bar, spinner, stderr, stdout, times
from lampe.errors import ConfigError, MissingExtraError
from lampe.evaluation import Budget, Record, Sample, pair_cost
from lampe.evaluation.compare import Plan, Store, Unit, read_experiment, run
from lampe.evaluation.compare.files import write_summary
from lampe.evaluation.compare.html import write_page
from lampe.evaluation.compare.pictures import draw
from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.run import pace
from lampe.evaluation.compare.tables import tables
from lampe.files import expanded, write_whole

HERE = "local"
ADDRESS = re.compile(rf"auto|{HERE}|ray://.+|\S+:\d+")
"""What may follow --ray; anything else is the next argument."""

LEARNED_FROM = 64
"""Earlier scores of a method that the estimate of the time begins with, at most."""


def compare(
    experiment: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment, a YAML or JSON file.")],
    out: Annotated[
        Path | None,
        typer.Option(parser=expanded, metavar="FOLDER", help="Of the results. Default: out/NAME for NAME.yaml."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="Begin nothing that would end later; run again to go on.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Measure nothing; write the report of what is there.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            show_default=False,
            help="Run on Ray (extra ray): on this machine, or on the cluster at ADDRESS (auto, host:port, ray://...).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default=False, help="Replicas of a model on Ray. Default: the GPUs, or one."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure models under several positional methods on several tasks, and report what differs.

    Each score is appended to FOLDER/results.jsonl as it is made. Killed or stopped, the same command goes on where it
    was and ends with the same file. FOLDER/report.html holds tables, pictures and what made them.

    [dim]lampe compare examples/smollm2/study.yaml --minutes 60[/dim]
    """
    if workers is not None and ray is None:
        raise ConfigError(f"--workers {workers} needs --ray: without it one process measures")
    wanted = read_experiment(experiment)
    folder = out or Path("out") / experiment.stem
    with spinner("making the prompts") as progress:
        plan = Plan.make(wanted, started=lambda name: progress.update(0, description=f"making the prompts of {name}"))
    with Store(folder) as store:
        plan.check(store.records, store.path)

        def keep() -> None:
            write_whole(folder / "experiment.json", to_json(plan.about, indent=2) + b"\n")

        interrupted = not report and _measure(plan, store, minutes, _runner(ray, workers), keep)
        keep()
        records = [store.records[key] for key in plan.keys if key in store.records]
    _report(plan, folder, records, as_json=as_json)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


class CompareCommand(TyperCommand):
    """Lets `--ray` stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write `--ray` as `--ray=local` where no address follows it."""
        places = [place for place, word in enumerate(args) if word == "--ray"]
        for place in places:
            if not ADDRESS.fullmatch(args[place + 1] if place + 1 < len(args) else ""):
                args = [*args[:place], f"--ray={HERE}", *args[place + 1 :]]
        return super().parse_args(ctx, args)


def _runner(ray: str | None, workers: int | None) -> Any:
    """What measures: this process, or workers on Ray."""
    if ray is None:
        return run
    from lampe.evaluation.compare.cluster import run_on_ray

    return partial(run_on_ray, address=None if ray == HERE else ray, workers=workers)


def _measure(plan: Plan, store: Store, minutes: float | None, runner: Any, keep: Callable[[], None]) -> bool:
    """Run what is left, and `keep` the experiment once nothing refuses it; whether Ctrl-C ended the run."""
    left = plan.left(store.records.__contains__)
    todo = {(unit.cell, key): (unit, work) for unit in left for key, work in zip(unit.keys, unit.works, strict=True)}
    stderr.print(foreseen(plan, store, [work for _, work in todo.values()]))
    budget = _budget(plan, store, None if minutes is None else 60 * minutes)
    total = len(plan.keys)
    interrupted = kept = False
    with progress_bar(SaidColumn(lambda _: _left(budget, todo))) as progress:
        bar = progress.add_task("loading the model", total=total, completed=total - len(todo))
        said = time.monotonic()

        def started(unit: Unit, sample: Sample) -> None:
            nonlocal kept
            if not kept:
                # The loaded model was compared with the scores that are there.
                keep()
                kept = True
            cell = unit.cell
            of = f"{cell.model}, " if len(plan.subjects) > 1 else ""
            progress.update(bar, description=f"{of}{cell.method}: {sample.task.name} at {cell.length:,}")

        try:
            for unit, key, _ in runner(plan, store, budget, started=started):
                todo.pop((unit.cell, key))
                progress.advance(bar)
                if not stderr.is_terminal and time.monotonic() - said > QUIET_SECONDS:
                    said = time.monotonic()
                    stderr.print(f"{total - len(todo):,} of {total:,} scores, {_left(budget, todo)}")
        except KeyboardInterrupt:
            interrupted = True
    if todo:
        reason = "interrupted" if interrupted else "the time is up"
        stderr.print(
            f"{reason}: {total - len(todo):,} of {total:,} scores are there; the same command goes on", style="dim"
        )
    return interrupted


def foreseen(plan: Plan, store: Store, left: Sequence[Any]) -> str:
    """What a run will cost, before it begins."""
    tokens, steps = sum(work.tokens for work in left), sum(work.steps for work in left)
    done = len(plan.keys) - len(left)
    parts = [
        f"{len(plan.subjects)} model{'s' * (len(plan.subjects) > 1)}, {len(plan.experiment.methods)} methods, "
        f"{len(plan.experiment.tasks)} tasks: {len(plan.keys):,} scores"
    ]
    if done:
        parts.append(f"{done:,} are in {store.path}")
    if left:
        parts.append(f"to read {tokens:,} tokens and make at most {steps:,}")
    return "; ".join(parts)


def _left(budget: Budget, todo: dict[Any, tuple[Unit, Any]]) -> str:
    seconds = budget.predict((pace(unit), work) for unit, work in todo.values())
    return times(budget.elapsed, min(seconds, budget.left))


def _budget(plan: Plan, store: Store, seconds: float | None) -> Budget:
    """A budget that knows how long the scores took that are there."""
    budget = Budget(seconds, pair_cost(next(iter(plan.subjects.values())).config))
    known = store.seconds()
    learned: dict[str, int] = {}
    for unit in plan.units:
        for key, work in zip(unit.keys, unit.works, strict=True):
            if key in known and learned.get(pace(unit), 0) < LEARNED_FROM:
                learned[pace(unit)] = learned.get(pace(unit), 0) + 1
                budget.observe(pace(unit), work, known[key])
    return budget


def _report(plan: Plan, folder: Path, records: Sequence[Record], *, as_json: bool) -> None:
    """Write tables, pictures and the page, and print the tables."""
    if not records:
        raise ConfigError(f"{folder} holds no scores yet")
    wanted = plan.experiment
    tasks = {entry.create(): wanted.lengths_measured(entry) for entry in wanted.tasks}
    report = Report.of(
        records,
        baseline=wanted.reference,
        models=list(plan.subjects),
        labels=list(wanted.methods),
        tasks=[task for task, lengths in tasks.items() if lengths],
        lengths={task.name: lengths for task, lengths in tasks.items()},
        window={name: subject.config.rope.original_window for name, subject in plan.subjects.items()},
        title=wanted.title,
        remarks=plan.outside(),
        resamples=wanted.resamples,
        about=plan.about,
    )
    write_summary(report, folder)
    pictures: Sequence[Any] = ()
    with spinner("drawing"):
        try:
            pictures = draw(report, folder / "pictures")
        except MissingExtraError as error:
            stderr.print(f"no pictures: {error}", style="dim", markup=False)
    write_page(report, folder / "report.html", pictures)
    if as_json:
        typer.echo((folder / "summary.json").read_text(encoding="utf-8"))
        return
    for table in tables(report):
        stdout().print(table)
    typer.echo(f"{len(records):,} of {len(plan.keys):,} scores; wrote {folder / 'report.html'}")
