"""Every method in one picture: its map, and the curve or the frequencies that set it apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import torch

from lampe.errors import LampeError
from lampe.files import expanded
from lampe.inspection.facts import (
    PlanFacts,
    group_positions,
    plan_facts,
    relative_positions,
    sample_grid,
)
from lampe.inspection.panels import CURVE, INK, OUTSIDE, REFERENCE
from lampe.inspection.picture import drawing
from lampe.positional import PositionalEncoding
from lampe.positional.base import inverse_frequencies

COLUMNS = 5


def save_gallery(
    methods: Mapping[str, PositionalEncoding],
    length: int,
    path: str | Path,
    *,
    sliding_window: int | None = None,
    dpi: int = 110,
) -> Path:
    """Draw methods side by side at `length` tokens.

    Of each the map of relative positions, coloured by their share of what was trained and red beyond it; under it, of a
    method that moves positions the position against the distance from the last query, of one that scales frequencies
    their ratio to plain RoPE's against the wavelength.

    Args:
        methods: by the name to show, bound to the RoPE of a checkpoint.
        path: a .png, .pdf or .svg file; it appears whole or not at all.
        sliding_window: the window of the layer to look at, in tokens.
        dpi: dots an inch; a method takes 3.2 by 4.4 inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: `path` has another suffix, or its folder does not exist.
    """
    rows = -(-len(methods) // COLUMNS)
    with drawing(path, 3.2 * COLUMNS, 4.4 * rows + 0.8, dpi) as figure:
        figure.suptitle(
            f"positional methods, set for {length:,} tokens: query down, key across, red outside the trained window",
            fontsize=15,
            fontweight="bold",
        )
        cells = figure.subfigures(rows, COLUMNS, squeeze=False).flatten()
        for cell, (name, method) in zip(cells, methods.items(), strict=False):
            upper, lower = cell.subplots(2, 1, height_ratios=[2.3, 1])
            try:
                facts = plan_facts(method, length, sliding_window=sliding_window)
            except LampeError as error:
                _excuse(cell, upper, lower, name, error)
                continue
            cell.suptitle(fill(name, 26), fontsize=12, fontweight="bold")
            draw_small_map(upper, method, facts)
            if method.family == "frequency":
                draw_small_frequencies(lower, method, facts)
            else:
                draw_small_curve(lower, method, facts)
    return expanded(path)


def draw_small_map(axes: Any, method: PositionalEncoding, facts: PlanFacts) -> None:
    """The map without words: colour is the share of the trained positions, red is outside, grey is not attended."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    plan = method.plan(facts.length).within(facts.sliding_window)
    grid = sample_grid(facts.length, 256)
    positions, owners = relative_positions(plan, grid, grid)
    attended, causal = owners >= 0, grid[None, :] <= grid[:, None]
    place = {"extent": (0, facts.length, facts.length, 0), "interpolation": "nearest", "aspect": "equal"}
    dropped = (causal & ~attended).double().masked_fill(~causal | attended, math.nan)
    axes.imshow(dropped.numpy(), cmap="Greys", vmin=0, vmax=5, **place)
    share = positions / min(facts.limit, max(facts.largest_position, facts.trained_window) + 1)
    colours = colormaps["viridis"].with_extremes(over=OUTSIDE, bad="none")
    shown = share.masked_fill(~attended, math.nan).numpy()
    axes.imshow(shown, cmap=colours, norm=Normalize(0, math.nextafter(1, 0)), **place)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set(xticks=[], yticks=[])
    verdict = "inside" if facts.inside else "outside"
    lines = [f"up to {facts.largest_position:,.0f}", verdict if facts.position_limit is not None else "no limit"]
    axes.text(1, 0.98, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", color=INK, fontsize=10)


def draw_small_curve(axes: Any, method: PositionalEncoding, facts: PlanFacts) -> None:
    """Relative position against distance from the last query, with the end of the trained window."""
    last = facts.length - 1
    distances = sample_grid(facts.length, 1024)
    axes.plot(distances, distances, color=REFERENCE, linestyle=":", linewidth=1)
    plan = method.plan(facts.length).within(facts.sliding_window)
    curves = group_positions(plan, last, last - distances)
    for curve in torch.unique(curves, dim=1).unbind(1):
        axes.plot(distances, curve, color=CURVE, linewidth=1.5)
    top = 1.15 * max(facts.largest_position, min(facts.limit, facts.length))
    if facts.limit < top:
        axes.axhspan(facts.limit, top, color=OUTSIDE, alpha=0.15, linewidth=0)
    axes.set(xlim=(0, facts.length), ylim=(0, top), xticks=[0, facts.length], yticks=[0, round(min(facts.limit, top))])
    axes.set_xlabel("distance", fontsize=9, labelpad=-8)
    axes.tick_params(labelsize=8)


def draw_small_frequencies(axes: Any, method: PositionalEncoding, facts: PlanFacts) -> None:
    """inv_freq over plain RoPE's against the wavelength, with the trained window."""
    wavelengths = 2 * math.pi / inverse_frequencies(method.rope.theta, method.rope.dim)
    ratio = torch.tensor(facts.frequency_ratio)
    axes.semilogx(wavelengths, ratio, color=CURVE, marker="o", markersize=2, linewidth=1)
    axes.axhline(1, color=REFERENCE, linestyle=":", linewidth=1)
    axes.axvline(facts.trained_window, color=REFERENCE, linewidth=0.8)
    axes.set(ylim=(0, 1.15), yticks=[0, 1], xticks=[10, facts.trained_window])
    axes.set_xticklabels(["10", f"{facts.trained_window:,}"])
    axes.minorticks_off()
    axes.set_xlabel("wavelength", fontsize=9, labelpad=-8)
    axes.tick_params(labelsize=8)


def _excuse(cell: Any, upper: Any, lower: Any, name: str, error: Exception) -> None:
    """Say why a method cannot be drawn."""
    cell.suptitle(name, fontsize=12, fontweight="bold")
    for axes in (upper, lower):
        axes.axis("off")
    upper.text(0.5, 0.6, fill(str(error), 28), ha="center", va="center", color=INK, fontsize=9)
