"""Time and memory of a prefill against its length, each in a fresh process: `python -m benchmarks.memory`.

Points are written as they are made, and a run that is started again goes on where the last one ended: those of the same
settings are kept. Memory is the largest resident memory of the whole process; what it holds above the loaded model and
the cache is fitted by c + d N, and seconds by a N + b N^2.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fits import memory_fit, time_fit
from benchmarks.harness import add_out, counts, parse, screen, some_of
from benchmarks.memory_point import METHODS
from benchmarks.pictures import curves, drawing
from benchmarks.report import machine, write_json
from benchmarks.subject import LAMPE
from examples.demo import MODEL, model_folder

OTHER = "transformers"
RUNS = (*METHODS, OTHER)

Points = dict[str, dict[int, dict[str, float]]]
"""What `memory_point` tells, by run and length."""


def above(point: dict[str, float]) -> float:
    """Bytes that a prefill takes beside the loaded model and the cache."""
    return point["peak"] - point["resident"] - point["cache"]


def settings() -> dict[str, Any]:
    """What two points must have in common to stand in one table."""
    found = {name: value for name, value in machine().items() if name != "date"}
    return {**found, OTHER: version(OTHER), "model": MODEL, "dtype": "bfloat16", "lampe_method": LAMPE}


def earlier(path: Path, wanted: dict[str, Any]) -> Points:
    """The points of an earlier run with the same settings."""
    if not path.exists():
        return {}
    held = json.loads(path.read_text(encoding="utf-8"))
    if held.get("settings") != wanted:
        return {}
    return {run: {int(length): point for length, point in points.items()} for run, points in held["points"].items()}


def missing(options: argparse.Namespace, points: Points) -> Iterator[tuple[str, int]]:
    """What was not measured yet, the short ones first; the runs take turns."""
    for length in options.lengths:
        for run in options.runs:
            too_long = run == OTHER and length > options.other_up_to
            if not too_long and length not in points.get(run, {}):
                yield run, length


def fresh_process(run: str, folder: Path, length: int) -> dict[str, float] | None:
    """A point; None where the process was ended from outside, as it is where memory runs out."""
    # The process starts with the largest memory of this one, so this one loads no model.
    command = [sys.executable, "-m", "benchmarks.memory_point", run, str(folder), str(length)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode < 0:
        return None
    if process.returncode:
        raise RuntimeError(f"{run} at {length:,} tokens ended with {process.returncode}\n{process.stderr}")
    point: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return point


def fits(points: Points) -> dict[str, dict[str, Any]]:
    """The fits of every run."""
    return {
        run: {
            "time": time_fit({length: point["seconds"] for length, point in by_length.items()}),
            "memory": memory_fit({length: above(point) for length, point in by_length.items()}),
        }
        for run, by_length in points.items()
    }


def in_order(points: Points, lengths: Sequence[int], runs: Sequence[str]) -> Points:
    """Those of some runs and lengths, in ascending order."""
    return {run: {n: points[run][n] for n in lengths if n in points[run]} for run in runs if points.get(run)}


def write(path: Path, points: Points) -> None:
    """Everything that is known, with the fits of all points."""
    content = {"date": machine()["date"], "settings": settings(), "points": points, "fits": fits(points)}
    write_json(path, content)


def points_table(points: Points) -> Table:
    """A row for each point; memory in MB of a million bytes."""
    table = Table("run", "tokens", "seconds", "tokens/s", "peak MB", "loaded MB", "cache MB", "above MB")
    for run, by_length in points.items():
        for length, point in by_length.items():
            amounts = (point["peak"], point["resident"], point["cache"], above(point))
            times = f"{point['seconds']:,.2f}", f"{length / point['seconds']:,.0f}"
            table.add_row(run, f"{length:,}", *times, *(f"{amount / 1e6:,.0f}" for amount in amounts))
        table.add_section()
    return table


def fits_table(points: Points) -> Table:
    """A row for each run that has two points."""
    table = Table("run", "a, ms / token", "b, ns / token^2", "off at most", "last slope", "c, MB", "d, bytes / token")
    for run, found in fits(points).items():
        if (time := found["time"]) and (memory := found["memory"]):
            cells = f"{1e3 * time['a']:.3f}", f"{1e9 * time['b']:.2f}", f"{time['off']:.1%}", f"{time['slope']:.2f}"
            table.add_row(run, *cells, f"{memory['c'] / 1e6:,.0f}", f"{memory['d']:,.0f}")
    return table


def draw(path: Path, points: Points) -> None:
    """Seconds and memory against length."""

    def series(value: Callable[[dict[str, float]], float]) -> dict[str, dict[int, float]]:
        return {run: {n: value(point) for n, point in by_length.items()} for run, by_length in points.items()}

    with drawing(path, 2, f"{MODEL}: prefill") as (times, memory):
        curves(times, series(lambda point: point["seconds"]), "seconds")
        curves(memory, series(lambda point: point["peak"] / 1e9), "peak resident memory, GB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").splitlines()[0])
    default = "4096,8192,16384,32768,65536"
    parser.add_argument("--lengths", type=counts, default=default, help="tokens, separated by commas (%(default)s)")
    parser.add_argument("--runs", type=some_of(RUNS), default=list(RUNS), help=f"of {','.join(RUNS)} (all)")
    parser.add_argument(
        "--other-up-to", type=int, default=16384, metavar="TOKENS", help="longest for transformers (%(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="keep no points of an earlier run")
    add_out(parser, "memory")
    options = parse(parser)
    folder, console = model_folder().resolve(), screen()
    points = {} if options.fresh else earlier(options.out, settings())
    if kept := sum(map(len, points.values())):
        console.print(f"{kept} points of an earlier run are kept; --fresh measures them anew")
    todo = list(missing(options, points))
    for run, length in track(todo, "measuring", console=Console(stderr=True), transient=True):
        point = fresh_process(run, folder, length)
        if point is None:
            console.print(f"{run} at {length:,} tokens was ended from outside; it may be short of memory")
            continue
        points.setdefault(run, {})[length] = point
        write(options.out, points)
    asked = in_order(points, options.lengths, options.runs)
    if not asked:
        return
    draw(options.out.with_suffix(".png"), asked)
    console.print(points_table(asked))
    console.print(fits_table(asked))
    console.print(f"written to {options.out} and {options.out.with_suffix('.png').name}", soft_wrap=True)


if __name__ == "__main__":
    main()
