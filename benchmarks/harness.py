"""What the benchmarks share: interleaved runs, ratios to a peer in the same repeat, the command line.

A machine is never equally fast for long. So the runs that are compared take turns, and what is reported is the median,
over the repeats, of a run over its peer in the same repeat.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from lampe.errors import MissingExtraError
from lampe.positional import PositionWarning, ProfileWarning

T = TypeVar("T")


class Ratio(NamedTuple):
    """A run over its peer: the median over the repeats, and the ends."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f} to {self.highest:.2f})"


def interleave(runs: Mapping[str, Callable[[], T]], repeats: int, title: str) -> dict[str, list[T]]:
    """What each run returns in every repeat; a first round, which warms up, is left out.

    The order changes from round to round, so that none always follows the same other one.
    """
    results: dict[str, list[T]] = {name: [] for name in runs}
    for turn in track(range(repeats + 1), title, console=Console(stderr=True), transient=True):
        for name in random.Random(turn).sample(list(runs), len(runs)):
            results[name].append(runs[name]())
    return {name: returned[1:] for name, returned in results.items()}


def measure(runs: Mapping[str, Callable[[], object]], repeats: int, title: str) -> dict[str, list[float]]:
    """Seconds of each run in every repeat, as `interleave`."""
    return interleave({name: _timed(run) for name, run in runs.items()}, repeats, title)


def ratio(own: Sequence[float], peer: Sequence[float]) -> Ratio:
    """Seconds of a run over those of its peer, repeat by repeat."""
    ratios = [a / b for a, b in zip(own, peer, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def screen() -> Console:
    """Where tables go; a file that they are redirected to is wide enough for them."""
    return Console(width=None if sys.stdout.isatty() else 120)


def command_line(doc: str | None, name: str, *, repeats: int, unit: str = "rounds") -> argparse.ArgumentParser:
    """The options of every benchmark: --repeats and --out."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=(doc or "").splitlines()[0])
    parser.add_argument("--repeats", type=at_least_one, default=repeats, help=f"measured {unit} (%(default)s)")
    add_out(parser, name)
    return parser


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """Where the results go."""
    default = Path(f"out/bench/{name}.json")
    parser.add_argument("--out", type=Path, default=default, help="JSON; the picture stands beside it (%(default)s)")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given; what a benchmark needs is checked before it runs for minutes."""
    options = parser.parse_args()
    if importlib.util.find_spec("matplotlib") is None:
        parser.error(str(MissingExtraError("matplotlib", "plots", "the picture of a benchmark")))
    # Speed is measured here; which positions a model was trained on is not the question.
    for category in (PositionWarning, ProfileWarning):
        warnings.simplefilter("ignore", category)
    return options


def at_least_one(text: str) -> int:
    """A count, as an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def counts(text: str) -> list[int]:
    """Numbers of tokens or rows, separated by commas, in ascending order."""
    return sorted({at_least_one(part) for part in text.split(",")})


def some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """The type of an argument that names some of what is known, separated by commas."""

    def names(text: str) -> list[str]:
        given = text.split(",")
        for name in given:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r}: expected some of {', '.join(known)}")
        return [name for name in known if name in given]

    return names


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return seconds
