"""A positional method looked at: its facts and its picture at any length, and all methods side by side."""

from __future__ import annotations

from lampe.inspection.facts import PlanFacts, RegionFacts, plan_facts, relative_positions
from lampe.inspection.gallery import save_gallery
from lampe.inspection.overview import MethodOverview, overview
from lampe.inspection.picture import save_picture

__all__ = [
    "MethodOverview",
    "PlanFacts",
    "RegionFacts",
    "overview",
    "plan_facts",
    "relative_positions",
    "save_gallery",
    "save_picture",
]
