"""Models x methods x tasks x lengths, measured by one command and kept in one file."""

from __future__ import annotations

from lampe.evaluation.compare.experiment import Experiment, ModelEntry, TaskEntry, read_experiment
from lampe.evaluation.compare.plan import Cell, Plan, Unit
from lampe.evaluation.compare.run import run
from lampe.evaluation.compare.store import Store, make_key, read_records

__all__ = [
    "Cell",
    "Experiment",
    "ModelEntry",
    "Plan",
    "Store",
    "TaskEntry",
    "Unit",
    "make_key",
    "read_experiment",
    "read_records",
    "run",
]
