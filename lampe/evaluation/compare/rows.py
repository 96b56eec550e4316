"""The rows of a report: a figure and its difference to the baseline, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from lampe.config import FrozenModel
from lampe.evaluation.base import registry

Verdict = Literal["better", "worse"]


class Place(NamedTuple):
    """Where a row stands."""

    model: str
    task: str
    method: str
    length: int


class Row(FrozenModel):
    """The figure of one model and method on one task, or suite of tasks, at one length.

    Attributes:
        task: its name; of a suite, the suite's.
        kind: registered name of the task; of a suite, of its first task.
        tasks: how many tasks the figure is the mean of.
        method: its label.
        figure: NaN or infinite where a score is.
        low: lower end of the figure's 95 % interval, where there is one.
        contexts: trials that the samples come from; samples of one share a context.
        nonfinite: samples whose score is no finite number.
        difference: figure less the baseline's, over the samples that both have; None for the baseline.
        pairs: how many samples that rests on.
        pair_contexts: how many trials these come from.
        verdict: whether the method does better or worse than the baseline: the interval excludes zero, and rests on
            enough contexts; None where that is open.
        unit: of the figure.
    """

    model: str
    task: str
    kind: str
    tasks: int = 1
    method: str
    length: int
    figure: float
    low: float | None
    high: float | None
    samples: int
    contexts: int
    nonfinite: int
    difference: float | None = None
    diff_low: float | None = None
    diff_high: float | None = None
    pairs: int = 0
    pair_contexts: int = 0
    verdict: Verdict | None = None
    unit: str

    @property
    def higher_is_better(self) -> bool:
        """As for the task."""
        return registry.get(self.kind).higher_is_better

    @property
    def shown(self) -> str:
        """The figure as a table shows it."""
        return _shown(self.kind, self.figure)

    @property
    def interval(self) -> str:
        """The interval as a table shows it, or nothing."""
        return _between(self.low, self.high, partial(_shown, self.kind))

    @property
    def shown_difference(self) -> str:
        """The difference as a table shows it, with its sign, or nothing."""
        return "" if self.difference is None else _signed(self.kind, self.difference)

    @property
    def difference_interval(self) -> str:
        """The interval of the difference as a table shows it, or nothing."""
        return _between(self.diff_low, self.diff_high, partial(_signed, self.kind))


class EffectiveLength(FrozenModel):
    """The longest length at which a method's mean of a suite is above the suite's threshold.

    Attributes:
        length: None where no length is.
        tasks: how many tasks the means rest on.
    """

    model: str
    suite: str
    method: str
    length: int | None
    threshold: float
    tasks: int


def _shown(kind: str, figure: float) -> str:
    return registry.get(kind).shown(figure) if math.isfinite(figure) else str(figure)


def _signed(kind: str, figure: float) -> str:
    if math.isnan(figure):
        return "nan"
    return f"{'−' if figure < 0 else '+' if figure > 0 else ''}{_shown(kind, abs(figure))}"


def _between(low: float | None, high: float | None, shown: Callable[[float], str]) -> str:
    return "" if low is None or high is None else f"[{shown(low)}, {shown(high)}]"
