"""Pictures of results: curves against length, grids of depth and length, calibrations."""

from __future__ import annotations

from lampe.plots.curves import Point, plot_curves, plot_scores
from lampe.plots.drawing import COLOURS, INK, STYLE, spread
from lampe.plots.grids import Differences, plot_differences, plot_grid
from lampe.plots.profile import plot_profile, plot_spans

__all__ = [
    "COLOURS",
    "INK",
    "STYLE",
    "Differences",
    "Point",
    "plot_curves",
    "plot_differences",
    "plot_grid",
    "plot_profile",
    "plot_scores",
    "plot_spans",
    "spread",
]
