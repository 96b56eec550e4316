"""The tables of docs/speed.md, from what the benchmarks wrote to docs/speed/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "speed"


def prefill(name: str = "prefill") -> str:
    """Time of one attention layer over plain causal attention: a row for each method, a column for each setting."""
    return _grid("", name, lambda result: f"{result['shape']}, {result['tokens']:,}")


def decode() -> str:
    """Time of a decoded token over RoPE's: a row for each method, a column for each setting."""
    return _grid("rows x cached tokens", "decode", lambda result: f"{result['rows']} x {result['tokens']:,}")


def model() -> str:
    """Milliseconds of the whole model, and its speed over transformers' and over lampe's RoPE."""
    rows = [
        [
            f"{result['work']}, {result['rows']} x {result['tokens']:,}",
            result["run"],
            f"{1000 * result['median']:,.1f}",
            _spread(result["over"].get("transformers")) if result["run"] != "transformers" else "",
            _spread(result["over"].get("rope")) if result["run"] == "lampe" else "",
        ]
        for result in _results("model")
    ]
    return _table(["", "run", "ms", "speed over transformers", "speed over rope"], rows)


def loading() -> str:
    """Milliseconds from the folder to a model, and to its first logits."""
    rows = [
        [
            result["phase"],
            result["run"],
            f"{1000 * result['median']:,.0f}",
            _spread(result["over"]["transformers"]) if result["run"] == "lampe" else "",
        ]
        for result in _results("loading")
    ]
    return _table(["", "run", "ms", "time over transformers"], rows)


def memory() -> str:
    """Seconds and resident memory of a prefill, a row for each point."""
    content = json.loads((FOLDER / "memory.json").read_text())
    rows = [
        [
            run,
            f"{int(length):,}",
            f"{point['seconds']:,.1f}",
            *(f"{point[name] / 1e6:,.0f}" for name in ("peak", "resident", "cache")),
            f"{(point['peak'] - point['resident'] - point['cache']) / 1e6:,.0f}",
        ]
        for run, points in content["points"].items()
        for length, point in points.items()
    ]
    return _table(["run", "tokens", "seconds", "peak MB", "loaded MB", "cache MB", "the rest MB"], rows)


def growth() -> str:
    """The fits of time and memory with length."""
    content = json.loads((FOLDER / "memory.json").read_text())
    rows = []
    for run, fits in content["fits"].items():
        if (time := fits["time"]) and (memory := fits["memory"]):
            cells = f"{1e3 * time['a']:.3f}", f"{1e9 * time['b']:.2f}", f"{time['off']:.1%}", f"{time['slope']:.2f}"
            rows.append([run, *cells, f"{memory['c'] / 1e6:,.0f}", f"{memory['d']:,.0f}"])
    fitted = ["a, ms / token", "b, ns / token^2", "off at most", "slope of the last doubling"]
    return _table(["run", *fitted, "c, MB", "d, bytes / token"], rows)


def turns() -> str:
    """A second turn in a session and a prefill of everything."""
    rows = [
        [
            result["method"],
            result["run"],
            f"{result['median']:.2f}",
            f"{result['over']['fresh prefill']['median']:.3f}" if result["run"] != "fresh prefill" else "",
            f"{result['perplexity']:.3f}",
            f"{result['same best token']:.1%}",
            f"{result['mean KL']:.5f}",
        ]
        for result in _results("turns")
    ]
    return _table(["method", "", "seconds", "over fresh", "perplexity", "same best token", "mean KL, nats"], rows)


def machine() -> str:
    """Where the figures come from."""
    about = json.loads((FOLDER / "model.json").read_text())
    return f"{about['cpu']}, {about['threads']} threads, torch {about['torch']}, bfloat16."


def machine_cuda() -> str:
    """Where the figures of a GPU come from."""
    about = json.loads((FOLDER / "prefill-cuda.json").read_text())
    return f"{about['device']}, torch {about['torch']}, bfloat16."


def _grid(corner: str, name: str, column: Callable[[dict[str, Any]], str]) -> str:
    """A row for each run, a column for each setting: milliseconds of RoPE, and what the others take over it."""
    found: dict[str, dict[str, str]] = {}
    for result in _results(name):
        peer = result["run"] == "rope"
        shown = f"{1000 * result['median']:,.1f} ms" if peer else _spread(result["over"]["rope"])
        found.setdefault(result["run"], {})[column(result)] = shown
    settings = list(dict.fromkeys(setting for row in found.values() for setting in row))
    rows = [[run, *(row.get(setting, "") for setting in settings)] for run, row in found.items()]
    return _table([corner, *settings], rows)


def _results(name: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["results"]
    return results


def _spread(over: Mapping[str, float] | None) -> str:
    return f"{over['median']:.2f} ({over['lowest']:.2f} to {over['highest']:.2f})" if over else ""


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in [list(header), *map(list, rows)]]
    return "\n".join([lines[0], "|" + "---|" * len(list(header)), *lines[1:]])
