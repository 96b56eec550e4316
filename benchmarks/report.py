"""The results of a benchmark as a table and as JSON."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.table import Column, Table

from benchmarks.harness import Ratio, ratio, screen
from lampe.files import write_whole


@dataclass(frozen=True)
class Result:
    """One run in one setting.

    Attributes:
        setting: what was measured, such as its number of tokens; the first columns of the table.
        run: its name.
        seconds: of every repeat.
        over: by the peer's name, seconds over the peer's, or speed over the peer's where the report says so.
        facts: what else was found; the last columns of the table.
    """

    setting: dict[str, str | int]
    run: str
    seconds: list[float]
    over: dict[str, Ratio]
    facts: dict[str, float] = field(default_factory=dict)


class Report:
    """Collects results and writes them after every setting, so that a run that is stopped leaves what it found.

    Args:
        out: the JSON file.
        peers: the runs that the others are compared with.
        speed: ratios are of speed, above 1 where a run is faster than its peer, and not of time.
        about: what holds for all results, beside the machine.
    """

    def __init__(self, out: Path, peers: Sequence[str], *, speed: bool = False, about: Mapping[str, Any] | None = None):
        self.out = out
        self.peers = tuple(peers)
        self.quantity = "speed" if speed else "time"
        self.about = dict(about or {})
        self.results: list[Result] = []

    def add(
        self,
        setting: Mapping[str, str | int],
        seconds: Mapping[str, list[float]],
        facts: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Take in the seconds, and the other facts, of every run in one setting."""
        for run, own in seconds.items():
            # Peers come first and are not compared with what follows them.
            until = list(seconds).index(run) + 1
            pairs = {peer: (own, seconds[peer]) for peer in list(seconds)[:until] if peer in self.peers}
            if self.quantity == "speed":
                pairs = {peer: (others, mine) for peer, (mine, others) in pairs.items()}
            over = {peer: ratio(*pair) for peer, pair in pairs.items()}
            self.results.append(Result(dict(setting), run, own, over, dict((facts or {}).get(run, {}))))
        results = [
            {
                **result.setting,
                "run": result.run,
                "seconds": result.seconds,
                "median": statistics.median(result.seconds),
                "over": {peer: value._asdict() for peer, value in result.over.items()},
                **result.facts,
            }
            for result in self.results
        ]
        write_json(self.out, {**machine(), **self.about, "ratios": self.quantity, "results": results})

    def table(self, title: str) -> Table:
        """Median milliseconds and the ratios, "median (lowest to highest)"."""
        settings = list(dict.fromkeys(name for result in self.results for name in result.setting))
        facts = list(dict.fromkeys(name for result in self.results for name in result.facts))
        over = [f"{self.quantity} over {peer}" for peer in self.peers]
        run = Column("run", no_wrap=True)
        table = Table(*settings, run, "median ms", *over, *facts, title=title, title_justify="left")
        before: dict[str, str | int] | None = None
        for result in self.results:
            if before not in (None, result.setting):
                table.add_section()
            before = result.setting
            table.add_row(
                *(shown(result.setting[name]) for name in settings),
                result.run,
                f"{1000 * statistics.median(result.seconds):,.1f}",
                *(str(result.over[peer]) if peer in result.over and peer != result.run else "" for peer in self.peers),
                *(f"{result.facts[name]:.2f}" if name in result.facts else "" for name in facts),
            )
        return table

    def show(self, title: str) -> None:
        """Print the table and where the files are."""
        screen().print(self.table(title))
        screen().print(f"written to {self.out} and {self.picture.name}", soft_wrap=True)

    @property
    def picture(self) -> Path:
        """The PNG beside the JSON file."""
        return self.out.with_suffix(".png")


def shown(value: str | int) -> str:
    """A cell of the table."""
    return f"{value:,}" if isinstance(value, int) else value


def write_json(path: Path, content: object) -> None:
    """Write a file, whole or not at all."""
    write_whole(path, json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "lampe": version("lampe"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": cpu_name(),
    }


def cpu_name() -> str:
    """The processor, as the system calls it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        lines = (line.partition(":") for line in listing.read_text(encoding="utf-8").splitlines())
        names = [value.strip() for key, _, value in lines if key.strip() == "model name"]
        if names:
            return names[0]
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()
