"""The panels of a method's picture: which pair gets which relative position, and at which frequencies."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lampe.inspection.facts import PlanFacts, frequency_ratio, group_positions, relative_positions, sample_grid
from lampe.inspection.histogram import position_histogram, trained_histogram
from lampe.positional import PositionalEncoding, PositionPlan
from lampe.positional.base import inverse_frequencies

OUTSIDE = "#d7301f"
DROPPED = "#d9d9d9"
INK = "#222222"
REFERENCE = "#8c8c8c"
CURVE = "#3b528b"
THIN = 0.06
"""Regions with less than this share of the causal pairs have no room for their name."""


def draw_map(axes: Any, plan: PositionPlan, facts: PlanFacts) -> None:
    """Query against key, coloured by relative position; lines are the borders of regions."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.patches import Patch

    length = plan.length
    grid = sample_grid(length)
    positions, owners = (table.numpy() for table in relative_positions(plan, grid, grid))
    causal = (grid[None, :] <= grid[:, None]).numpy()
    place = {"extent": (0, length, length, 0), "interpolation": "nearest", "aspect": "equal"}
    colours = colormaps["viridis"].with_extremes(over=OUTSIDE, bad="none")
    hidden = positions.copy()
    hidden[owners < 0] = math.nan
    dropped = causal & (owners < 0)
    if dropped.any():
        axes.imshow(dropped.astype(float), cmap=ListedColormap(["none", DROPPED]), vmin=0, vmax=1, **place)
    beyond = not facts.inside
    # A position of exactly the limit is already outside, and only values above vmax get the colour for that.
    top = math.nextafter(min(facts.limit, max(facts.largest_position, facts.trained_window) + 1), 0)
    image = axes.imshow(hidden, cmap=colours, norm=Normalize(0, top), **place)
    extend = "max" if beyond else "neither"
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", aspect=45, extend=extend, shrink=0.8)
    bar.set_label("relative position")
    _draw_borders(axes, plan)
    _name_regions(axes, plan, facts)
    patches = [Patch(color=OUTSIDE, label=f"outside the {_window(facts)}")] if beyond else []
    patches += [Patch(color=DROPPED, label="not attended")] if dropped.any() else []
    if patches:
        axes.legend(handles=patches, loc="upper right", frameon=False)
    axes.text(1, 0.86, _summary(facts), transform=axes.transAxes, ha="right", va="top", color=INK, linespacing=1.6)
    axes.set(xlabel="key", ylabel="query")
    for axis in (axes.xaxis, axes.yaxis):
        _token_axis(axis, length)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_curve(axes: Any, plan: PositionPlan, facts: PlanFacts) -> None:
    """Relative position against distance, for the last query; a line for each frequency group that differs."""
    last = plan.length - 1
    distances = _distances(plan)
    top = 1.1 * max(facts.largest_position, min(facts.limit, plan.length), 1)
    axes.plot(distances, distances, color=REFERENCE, linestyle=":", label="true distance")
    curves = torch.unique(group_positions(plan, last, last - distances), dim=1).unbind(1)
    for index, curve in enumerate(curves):
        label = "relative position" if index == 0 else None
        axes.plot(distances, curve, color=CURVE, linewidth=2 if len(curves) == 1 else 1.2, label=label)
    _mark_limit(axes.axhspan, axes.axhline, facts, top)
    for region in facts.regions[1:]:
        if region.nearest:
            axes.axvline(region.nearest, color=REFERENCE, linewidth=0.8)
    axes.set(xlim=(0, plan.length), ylim=(0, top), xlabel="distance from the last query", ylabel="relative position")
    axes.set_title("what the last query sees", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="best")
    _token_axis(axes.xaxis, plan.length)
    _token_axis(axes.yaxis)


def draw_histogram(axes: Any, plan: PositionPlan, facts: PlanFacts) -> None:
    """How often each relative position is used, against how often windows of the trained length use it."""
    top = max(facts.largest_position + 1, min(facts.limit, float(facts.trained_window)))
    edges = torch.linspace(0, top, 65, dtype=torch.float64)
    axes.stairs(
        position_histogram(plan, edges).numpy(), edges.numpy(), fill=True, color=CURVE, alpha=0.55, label="used"
    )
    if facts.position_limit is not None:
        trained = trained_histogram(facts.position_limit, edges)
        axes.stairs(trained.numpy(), edges.numpy(), color=REFERENCE, linestyle=":", linewidth=1.5, label="trained")
    _mark_limit(axes.axvspan, axes.axvline, facts, top)
    axes.set(xlim=(0, top), xlabel="relative position", ylabel="share of pairs")
    axes.set_title("positions used", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="best")
    _token_axis(axes.xaxis)


def draw_frequencies(axes: Any, method: PositionalEncoding, plan: PositionPlan, facts: PlanFacts) -> None:
    """inv_freq over plain RoPE's, against the wavelength that each frequency was trained at."""
    wavelengths = 2 * math.pi / inverse_frequencies(method.rope.theta, method.rope.dim)
    ratio = frequency_ratio(method, plan)
    axes.semilogx(wavelengths, ratio, color=CURVE, marker="o", markersize=4, linewidth=1)
    axes.axhline(1, color=REFERENCE, linestyle=":")
    axes.axvline(facts.trained_window, color=REFERENCE, linewidth=0.8)
    axes.annotate(
        f"trained window {facts.trained_window:,}",
        (facts.trained_window, 0.04),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8,
        color=REFERENCE,
    )
    axes.set(
        ylim=(0, 1.15 * max(float(ratio.max()), 1)),
        xlabel="wavelength under plain RoPE, tokens",
        ylabel="inv_freq ratio",
    )
    axes.set_title("frequencies, against plain RoPE's", loc="left", fontsize=11)


def _draw_borders(axes: Any, plan: PositionPlan) -> None:
    queries = sample_grid(plan.length, 2048)
    for region in plan.regions:
        start, stop = region.interval(queries)
        for edge in (start, stop):
            inside = (stop > start) & (edge > 0) & (edge <= queries)
            axes.plot(edge.double().masked_fill(~inside, math.nan), queries + 0.5, color="white", linewidth=0.8)


def _name_regions(axes: Any, plan: PositionPlan, facts: PlanFacts) -> None:
    """Each name stands at the middle of its region; a thin region is pointed at instead."""
    if len(plan.regions) == 1:
        return
    queries = sample_grid(plan.length, 2048)
    for region, known in zip(plan.regions, facts.regions, strict=True):
        start, stop = (edge.double() for edge in region.interval(queries))
        width = stop - start
        if not float(width.sum()):
            continue
        query = float((width * queries).sum() / width.sum())
        key = float((width * (start + stop) / 2).sum() / width.sum())
        thin = known.share < THIN
        axes.annotate(
            known.name,
            (key, query),
            xytext=(45, 12) if thin else (0, 0),
            textcoords="offset points",
            ha="left" if thin else "center",
            va="center",
            color=INK,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.8} if thin else None,
        )


def _distances(plan: PositionPlan) -> Tensor:
    """Distances from the last query at which its curve is drawn: evenly spread, and both sides of every border."""
    last = plan.length - 1
    spread = sample_grid(plan.length, 2048)
    edges = [edge for region in plan.regions for edge in region.interval(torch.tensor([last]))]
    borders = last - torch.cat([*edges, *(edge - 1 for edge in edges)])
    return torch.tensor(sorted({*spread.tolist(), *borders.clamp(0, last).tolist()}))


def _summary(facts: PlanFacts) -> str:
    lines = [
        f"relative positions up to {facts.largest_position:,.0f}",
        "no position is outside" if facts.position_limit is None else f"{_window(facts)} ends at {facts.limit:,.0f}",
        f"the last query reaches {facts.tokens_reached:,} of {facts.length:,} tokens",
    ]
    if facts.sliding_window is not None:
        lines.append(f"sliding window {facts.sliding_window:,}")
    if facts.temperature != 1:
        lines.append(f"logits × {facts.temperature**2:.3f}")
    return "\n".join(lines)


def _mark_limit(span: Any, line: Any, facts: PlanFacts, top: float) -> None:
    """Shade what lies outside the trained window, along either axis."""
    if facts.limit < top:
        span(facts.limit, top, color=OUTSIDE, alpha=0.12, linewidth=0)
        line(facts.limit, color=OUTSIDE, linewidth=1, label=f"end of the {_window(facts)}")


def _window(facts: PlanFacts) -> str:
    scaled = facts.limit > facts.trained_window
    return "window of the scaled frequencies" if scaled else "trained window"


def _token_axis(axis: Any, length: int | None = None) -> None:
    """Ticks in whole tokens; with `length` at its quarters, which are round for the usual powers of two."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if length is None:
        axis.set_major_locator(MaxNLocator(5, integer=True))
    else:
        axis.set_ticks(sorted({length * quarter // 4 for quarter in range(5)}))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
