"""A positional method looked at: its facts and its picture at any length."""

from __future__ import annotations

from lampe.inspection.facts import PlanFacts, RegionFacts, plan_facts, relative_positions
from lampe.inspection.picture import save_picture

__all__ = ["PlanFacts", "RegionFacts", "plan_facts", "relative_positions", "save_picture"]
