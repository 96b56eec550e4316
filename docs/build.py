"""Writes what is generated in README and docs/ anew: `python -m docs.build`, with `--pictures` the pictures too."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from docs import calibration_tables, method_pages, speed_tables, study_tables
from lampe import evaluation, models, positional
from lampe.evaluation import Perplexity
from lampe.evaluation.prompts import PromptConfig
from lampe.registry import Entry, Registry

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "docs/benchmarks.md",
    "docs/calibration.md",
    "docs/methods/perplexity.md",
    "docs/speed.md",
    "docs/study.md",
)


def methods() -> str:
    """A row for every positional method that comes with lampe."""
    rows = []
    for name in method_pages.own_methods():
        entry = positional.registry.entry(name)
        family = f"{entry.cls.family}, an experiment" if entry.cls.experimental else entry.cls.family
        rows.append(f"| [`{name}`](docs/methods/{name}.md) | {family} | {entry.summary} | {_link(entry.paper)} |")
    return "\n".join(["| method | family | what it does | paper |", "|---|---|---|---|", *rows])


def families() -> str:
    """A row for every model family that comes with lampe."""
    rows = [f"| `{entry.name}` | {entry.summary} | {_link(entry.paper)} |" for entry in _own(models.registry)]
    return "\n".join(["| family | checkpoints | paper |", "|---|---|---|", *rows])


def tasks() -> str:
    """A row for every task that comes with lampe."""
    rows = []
    for entry in sorted(_own(evaluation.registry), key=lambda entry: (entry.cls.suite or "", entry.name)):
        fields = entry.cls.Config.model_fields
        own = [f"`{name}`" for name in fields if name not in PromptConfig.model_fields]
        suite = entry.cls.suite or ""
        rows.append(f"| `{entry.name}` | {suite} | {entry.summary} | {', '.join(own)} | {_link(entry.paper)} |")
    return "\n".join(["| task | suite | what it measures | fields | paper |", "|---|---|---|---|---|", *rows])


def perplexity() -> str:
    """The figures that `python -m benchmarks.perplexity --figures` wrote."""
    figures = json.loads((method_pages.FOLDER / "perplexity.json").read_text())
    rows: dict[str, dict[str, float]] = figures["perplexity"]
    lengths = list(next(iter(rows.values())))
    lines = [f"| method | {' | '.join(f'{int(n):,}' for n in lengths)} |", "|---" * (len(lengths) + 1) + "|"]
    for label, values in rows.items():
        lines.append(f"| {label} | {' | '.join(Perplexity.show([math.log(values[n])]) for n in lengths)} |")
    return "\n".join(lines)


GENERATED: dict[str, Callable[[], str]] = {
    "methods": methods,
    "families": families,
    "tasks": tasks,
    **study_tables.GENERATED,
    **calibration_tables.GENERATED,
    "perplexity": perplexity,
    "speed_machine": speed_tables.machine,
    "speed_prefill": speed_tables.prefill,
    "speed_prefill_cuda": partial(speed_tables.prefill, "prefill-cuda"),
    "speed_machine_cuda": speed_tables.machine_cuda,
    "speed_decode": speed_tables.decode,
    "speed_model": speed_tables.model,
    "speed_loading": speed_tables.loading,
    "speed_memory": speed_tables.memory,
    "speed_growth": speed_tables.growth,
    "speed_turns": speed_tables.turns,
}


def rebuilt(page: str) -> str:
    """A page with its generated parts, between `<!-- name -->` and `<!-- end -->`, made anew."""

    def part(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{GENERATED[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", part, (ROOT / page).read_text(), flags=re.DOTALL)


def _own(registry: Registry[Any]) -> list[Entry[Any]]:
    """The entries that come with lampe, by name."""
    return [entry for name in registry.names() if (entry := registry.entry(name)).cls.__module__.startswith("lampe.")]


def _link(paper: str | None) -> str:
    if paper is None:
        return ""
    return f"[{'arXiv ' + paper.rsplit('/', 1)[1] if 'arxiv.org' in paper else 'source'}]({paper})"


def main() -> None:
    for name in PAGES:
        (ROOT / name).write_text(rebuilt(name))
    for name, text in method_pages.pages().items():
        (method_pages.FOLDER / name).write_text(text)
    if "--pictures" in sys.argv[1:]:
        for name in track(method_pages.draw(), "drawing", total=len(method_pages.own_methods()) + 1):
            print(name)


if __name__ == "__main__":
    main()
