"""The picture of a positional method, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from lampe.errors import ConfigError, MissingExtraError
from lampe.files import expanded, write_whole
from lampe.inspection.facts import plan_facts
from lampe.inspection.panels import draw_curve, draw_frequencies, draw_histogram, draw_map
from lampe.positional import PositionalEncoding

FORMATS = (".png", ".pdf", ".svg")


def save_picture(
    method: PositionalEncoding, length: int, path: str | Path, *, sliding_window: int | None = None, dpi: int = 140
) -> Path:
    """Draw `method` at `length` tokens: map of relative positions, that of the last query, histogram, frequencies.

    Pairs outside the trained window are red, pairs that are not attended grey. No table of all pairs is ever made, so
    any length can be drawn.

    Args:
        method: bound to the RoPE of a checkpoint.
        path: a .png, .pdf or .svg file; it appears whole or not at all.
        sliding_window: the window of the layer to look at, in tokens.
        dpi: dots an inch; the picture is 14 by 9.5 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: `path` has another suffix, or its folder does not exist.
    """
    with drawing(path, 14, 9.5, dpi) as figure:
        facts = plan_facts(method, length, sliding_window=sliding_window)
        plan = method.plan(length, sliding_window=sliding_window).within(sliding_window)
        left, right = figure.subfigures(1, 2, width_ratios=[1.3, 1])
        curve, histogram, frequencies = right.subplots(3, 1)
        draw_map(left.subplots(), plan, facts)
        draw_curve(curve, plan, facts)
        draw_histogram(histogram, plan, facts)
        draw_frequencies(frequencies, method, plan, facts)
        figure.suptitle(f"{method!r} at {length:,} tokens", fontsize=14, fontweight="bold")
    return expanded(path)


def check_picture_path(path: Path) -> None:
    """Refuse a path that no picture can be written to.

    Raises:
        ConfigError: names the path and what would be accepted.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"picture {path}: expected a name that ends in {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"picture {path}: there is no folder {path.parent}")


@contextmanager
def drawing(path: str | Path, width: float, height: float, dpi: int) -> Iterator[Any]:
    """An empty figure of so many inches, written to `path` when the block ends without an error."""
    path = expanded(path)
    check_picture_path(path)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "a picture") from None
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    yield figure
    content = BytesIO()
    figure.savefig(content, dpi=dpi, format=path.suffix.lower().removeprefix("."))
    write_whole(path, content.getvalue())
