"""The pages under docs/methods/, made of the registered classes: `python -m docs.build`."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

from pydantic_core import PydanticUndefined

from lampe.config import PositionalConfig, RopeConfig
from lampe.inspection import overview, save_gallery, save_picture
from lampe.inspection.overview import MethodOverview
from lampe.positional import PositionalEncoding, RemapConfig, create, registry

FOLDER = Path(__file__).resolve().parent / "methods"
LENGTH = 16384
ROPE = RopeConfig(theta=10000.0, dim=128, max_position=8192, original_window=8192)
FAMILIES = {
    "frequency": "Positions stay true, frequencies change.",
    "remap": "Frequencies stay as trained, positions move.",
    "window": "Keys are dropped.",
}
GIVEN: dict[str, dict[str, Any]] = {
    "longrope": {"factor": 2, "short_factor": [1.0] * 64, "long_factor": [1 + k / 63 for k in range(64)]}
}
"""Fields of methods that cannot be shown without: LongRoPE's factors rise evenly here, for want of a search."""

MORE = {"lampe": "[docs/lampe.md](../lampe.md) tells more of it."}
SHARED = "[those of every method](README.md#fields-of-every-method)"


def own_methods() -> list[str]:
    """The methods that come with lampe, by family and name."""
    names = [name for name in registry.names() if registry.get(name).__module__.startswith("lampe.")]
    return sorted(names, key=lambda name: list(FAMILIES).index(registry.get(name).family))


def shown(name: str) -> PositionalEncoding:
    """The method as its page shows it."""
    return create({"kind": name, **GIVEN.get(name, {})}, ROPE).for_length(LENGTH)


def page(name: str) -> str:
    """The page of a method."""
    entry, about = registry.entry(name), overview(name, ROPE)
    parts = [f"# {name}", f"{about.summary[0].upper()}{about.summary[1:]}.", *_paragraphs(entry.cls)]
    if name in MORE:
        parts.append(MORE[name])
    parts.append(_facts(about, entry.aliases))
    parts.append(f"![The positions of {name} at 16,384 tokens]({name}.png)")
    parts.append(f"Drawn for {LENGTH:,} tokens and a trained window of 8,192, as `{shown(name)!r}`.")
    parts += ["## Fields", _fields(entry.cls.Config, SHARED), "## Use", _example(name)]
    return _document(parts)


def index() -> str:
    """The page that leads to all others."""
    rows = []
    for name in own_methods():
        about = overview(name, ROPE)
        mark = ", an experiment" if about.experimental else ""
        rows.append(f"| [`{name}`]({name}.md) | {about.family}{mark} | {about.summary} | {_reaches(about)} |")
    families = "\n".join(f"- *{family}*: {text}" for family, text in FAMILIES.items())
    table = ["| method | family | what it does | reach, for 2 L, for 4 L |", "|---|---|---|---|", *rows]
    parts = [
        "# Positional methods",
        families,
        "*Reach* is the longest input whose plan stays inside the trained window L, here 8,192: as the method is, and "
        "after `for_length(2 L)` and `for_length(4 L)`. `lampe list methods --verbose` says the same for any window.",
        "\n".join(table),
        "![All methods at 16,384 tokens](gallery.png)",
        f"`lampe inspect --all --length {LENGTH}` makes this picture. [On a real model](perplexity.md): the perplexity "
        "of all of them past the trained window.",
        "## Fields of every method",
        _fields(PositionalConfig, None),
        'Remap and window methods also have `checkpoint_scaling`: `"keep"` leaves the checkpoint\'s own frequency '
        'scaling on, `"off"` drops it.',
    ]
    return _document(parts)


def pages() -> dict[str, str]:
    """Every generated page, by its path from the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"README.md": index(), **{f"{name}.md": page(name) for name in own_methods()}}


def draw() -> Iterator[str]:
    """Draw every picture anew; yields the name of each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in own_methods():
            save_picture(shown(name), LENGTH, FOLDER / f"{name}.png", dpi=60)
            yield name
        save_gallery({name: shown(name) for name in own_methods()}, LENGTH, FOLDER / "gallery.png", dpi=80)
        yield "gallery"


def meanings(config: type[PositionalConfig]) -> dict[str, str]:
    """What the fields of a config mean, from the `Attributes` of its docstring and of those it derives from."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        _, _, attributes = (inspect.cleandoc(cls.__dict__.get("__doc__") or "")).partition("Attributes:\n")
        for match in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
            found[match[1]] = " ".join(match[2].split())
    return found


def _document(parts: list[str]) -> str:
    """Paragraphs with a line between, broken at 120 columns; what begins with a mark of Markdown stays as it is."""
    broken = [part if part.startswith(("#", "|", "!", "-", "```")) else fill(part, 120) for part in parts]
    return "\n\n".join(part for part in broken if part) + "\n"


def _paragraphs(cls: type[PositionalEncoding]) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in inspect.cleandoc(cls.__doc__ or "").split("\n\n")]


def _facts(about: MethodOverview, aliases: tuple[str, ...]) -> str:
    facts = {
        "paper": f"<{about.paper}>" if about.paper else "",
        "other names": ", ".join(f"`{alias}`" for alias in aliases),
        "family": f"{about.family}. {FAMILIES[about.family]}" + (" An experiment." if about.experimental else ""),
        "changes, of plain RoPE": ", ".join(about.changes) or ("" if about.needs else "nothing"),
        "does not attend": about.drops,
        "reach": about.reach_formula,
        "reach at L = 8,192; for 2 L; for 4 L": _reaches(about),
        "cached keys a decode step rotates, at 4 L": "" if about.needs else f"{about.rotated_keys:,}",
    }
    rows = [f"| {name} | {text} |" for name, text in facts.items() if text]
    return "\n".join(["| | |", "|---|---|", *rows])


def _reaches(about: MethodOverview) -> str:
    if about.needs:
        return "needs its factors"
    reaches = (about.reach, about.reach_2x, about.reach_4x)
    return "; ".join("no end" if reach is None else f"{reach:,}" for reach in reaches)


def _fields(config: type[PositionalConfig], besides: str | None) -> str:
    shared = RemapConfig if besides and issubclass(config, RemapConfig) else PositionalConfig
    known = meanings(config)
    own = [name for name in config.model_fields if name != "kind" and (not besides or name not in shared.model_fields)]
    rows = []
    for name in own:
        default = config.model_fields[name].default
        value = "" if default is PydanticUndefined else repr(default)
        rows.append(f"| `{name}` | `{value}` | {known[name]} |")
    table = ["| field | default | meaning |", "|---|---|---|", *rows] if rows else []
    end = [f"And {besides}." if rows else f"None of its own, only {besides}."] if besides else []
    return "\n\n".join(filter(None, ["\n".join(table), *end]))


def _example(name: str) -> str:
    method = shown(name)
    plan = method.plan(LENGTH)
    made = f'positional.create("{name}", rope)'
    inspect_it = f"\n```console\nlampe inspect {name} --length {LENGTH}\n```"
    if name in GIVEN:
        inspect_it = ""
        made = 'positional.create({"kind": "longrope", "factor": 2, **factors}, rope)'
    factors = 'factors = {"short_factor": [1.0] * 64, "long_factor": [1 + k / 63 for k in range(64)]}\n'
    return f"""```python
from lampe import RopeConfig, positional

rope = RopeConfig(theta=10000.0, dim=128, max_position=8192, original_window=8192)
{factors if name in GIVEN else ""}method = {made}.for_length({LENGTH})
plan = method.plan({LENGTH})
assert [region.name for region in plan.regions] == {json.dumps([region.name for region in plan.regions])}
assert round(plan.largest_position(), 3) == {round(plan.largest_position(), 3):.10g}
```
{inspect_it}"""
