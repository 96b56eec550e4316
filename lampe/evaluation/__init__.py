"""Tasks that measure a model at any length, and what runs them and shows the result."""

from __future__ import annotations

from lampe.evaluation import infinitebench, leval, longbench, ruler
from lampe.evaluation.base import Outcome, Record, Sample, Setting, Task, TaskConfig, registry
from lampe.evaluation.budget import Budget, Work, pair_cost
from lampe.evaluation.needle import Needle
from lampe.evaluation.passkey import Passkey
from lampe.evaluation.passkey_loss import PasskeyLoss
from lampe.evaluation.perplexity import Perplexity
from lampe.evaluation.report import Summary, summarise, table, write_json
from lampe.evaluation.runner import Runner, evaluate, run_blocks
from lampe.evaluation.sliding import SlidingPerplexity
from lampe.evaluation.texts import python_documentation, read_text

register = registry.register
names = registry.names
create = registry.create

__all__ = [
    "Budget",
    "Needle",
    "Outcome",
    "Passkey",
    "PasskeyLoss",
    "Perplexity",
    "Record",
    "Runner",
    "Sample",
    "Setting",
    "SlidingPerplexity",
    "Summary",
    "Task",
    "TaskConfig",
    "Work",
    "create",
    "evaluate",
    "infinitebench",
    "leval",
    "longbench",
    "names",
    "pair_cost",
    "python_documentation",
    "read_text",
    "register",
    "registry",
    "ruler",
    "run_blocks",
    "summarise",
    "table",
    "write_json",
]
