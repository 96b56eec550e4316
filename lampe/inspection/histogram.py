"""How often a plan uses each relative position, and how often training did."""

from __future__ import annotations

import torch
from torch import Tensor

from lampe.inspection.facts import group_positions, sample_grid
from lampe.positional import PositionPlan

QUERIES = 256
"""Rows of the table of all pairs that are counted."""


def position_histogram(plan: PositionPlan, edges: Tensor) -> Tensor:
    """The share of attended pairs in each bin of relative positions, over all frequency groups.

    Counts every key of up to 256 queries, spread evenly over the planned length: exact up to that length, and linear in
    it beyond.

    Args:
        edges: ascending, float64 [bins + 1].

    Returns:
        float64 [bins], which add up to 1.
    """
    counts = torch.zeros(len(edges) - 1, dtype=torch.float64)
    for query in sample_grid(plan.length, QUERIES).tolist():
        positions = group_positions(plan, query, torch.arange(query + 1))
        used = positions[~positions.isnan()]
        counts += torch.histogram(used, edges).hist / positions.shape[1]
    return counts / counts.sum()


def trained_histogram(window: float, edges: Tensor) -> Tensor:
    """The same for plain RoPE on full windows: position p occurs `window` - p times in each.

    Args:
        window: in tokens.
        edges: ascending, float64 [bins + 1].
    """
    inside = edges.clamp(max=window)
    below = inside * window - inside.square() / 2  # pairs below each edge
    return below.diff() / (window**2 / 2)
