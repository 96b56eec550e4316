"""The page of a report: one HTML file that needs nothing else, with pictures, tables and what was run."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic_core import to_json

from lampe.evaluation.base import Record, registry
from lampe.evaluation.compare.notes import ONE_FOR_A_MODEL
from lampe.evaluation.compare.pictures import Picture
from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.tables import MARKS, Grid, grids, legend
from lampe.files import write_whole

FOLDER = Path(__file__).parent
MOST_CHARACTERS = 500


def write_page(
    report: Report,
    path: str | Path,
    pictures: Sequence[Picture] = (),
    *,
    samples: int = 3,
    results: str = "results.jsonl",
) -> Path:
    """Write the page; the file is there whole or not at all.

    Args:
        path: its folder is made where it is missing.
        pictures: as `draw` made them; they become part of the page.
        samples: how many samples of each method and length it shows.
        results: where all of them are, as a link from the page.
    """
    return write_whole(Path(path), page(report, pictures, samples=samples, results=results).encode())


def page(report: Report, pictures: Sequence[Picture] = (), *, samples: int = 3, results: str = "results.jsonl") -> str:
    """The page as text; see `write_page`."""
    # What models answered is text that nobody has read: everything is escaped, and the page's own script is the only
    # one that a browser runs.
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = _cut
    environment.globals |= {"number": _number, "counted": _counted}
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    made = list(grids(report))
    return environment.get_template("page.html.j2").render(
        report=report,
        legend=legend(report),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        models=[_model(report, model, made, pictures, samples) for model in report.models],
        general=[note.text for note in report.notes if note.task is None],
        methods=_configs(
            (record.setting.label, _where(record), record.setting.positional) for record in report.records
        ),
        tasks=_configs((record.name, "", record.task) for record in report.records),
        about={name: _text(value) for name, value in report.about.items()},
        samples=samples,
        results=results,
        marks=MARKS,
    )


def _model(
    report: Report, model: str, made: Sequence[Grid], pictures: Sequence[Picture], samples: int
) -> dict[str, Any]:
    own = [picture for picture in pictures if picture.model == model]
    records = [record for record in report.records if record.setting.model == model]
    settings = [record.setting for record in records]
    return {
        "name": model,
        "window": report.windows.get(model),
        "pictures": [_picture(picture) for picture in own if picture.task is None],
        "sections": [
            {
                "id": f"m{report.models.index(model) + 1}-{number}",
                "grid": grid,
                "about": _about(report, grid),
                "notes": [note.text for note in report.notes if note.task == grid.task],
                "pictures": [_picture(picture) for picture in own if picture.task == grid.task],
                **_samples([record for record in records if record.name == grid.task], samples),
            }
            for number, grid in enumerate((grid for grid in made if grid.model == model), start=1)
        ],
        "setting": {
            name: ", ".join(dict.fromkeys(_text(getattr(setting, name)) for setting in settings)) or "-"
            for name in ONE_FOR_A_MODEL
        },
    }


def _about(report: Report, grid: Grid) -> str:
    """What a task measures and where it comes from, or what a suite is made of."""
    if grid.task in report.suites:
        thresholds = {found.threshold for found in grid.effective.values()}
        effective = [f"Effective length: the longest with a mean above {100 * limit:.1f} %." for limit in thresholds]
        return " ".join([f"The mean of {', '.join(report.suites[grid.task])}.", *effective])
    entry = registry.entry(next(iter(grid.rows.values())).kind)
    return f"{entry.summary[:1].upper()}{entry.summary[1:]}" + (f" ({entry.paper})." if entry.paper else ".")


def _picture(picture: Picture) -> dict[str, str]:
    data = base64.b64encode(picture.path.read_bytes()).decode()
    return {"data": f"data:image/png;base64,{data}", "text": picture.text}


def _samples(records: Iterable[Record], samples: int) -> dict[str, Any]:
    """The first records of each method and length, as the page shows them."""
    counts: dict[tuple[str, int], int] = {}
    shown = []
    for record in records:
        key = record.setting.label, record.length
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= samples:
            shown.append(record)
    return {"records": shown, "left_out": sum(counts.values()) - len(shown)}


def _where(record: Record) -> str:
    return f"{record.setting.model}, {record.length:,} tokens"


def _configs(items: Iterable[tuple[str, str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The different configs of each name, and where each was used if there are several."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for name, where, config in items:
        found.setdefault(name, {}).setdefault(_text(config), {})[where] = None
    return {
        name: [
            {"text": text, "where": [place for place in places if place] if len(configs) > 1 else []}
            for text, places in configs.items()
        ]
        for name, configs in found.items()
    }


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else to_json(value, indent=2).decode()


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters)"


def _number(figure: float) -> str:
    """What the script sorts by; what is no number sorts last."""
    return repr(figure) if math.isfinite(figure) else ""


def _counted(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"
