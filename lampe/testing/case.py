"""What the matrix needs to know of a positional method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from lampe.config import RopeConfig
from lampe.errors import PlanError
from lampe.positional import PositionalEncoding, PositionPlan

WINDOW = 64
"""The trained window of the matrix, in tokens."""

ROPE = RopeConfig(theta=10000.0, dim=16, max_position=WINDOW, original_window=WINDOW)
"""The RoPE that the methods of the matrix are bound to."""

Position = int | Fraction | tuple[int, ...] | None
"""The relative position of a pair, one for each frequency group where they differ; None where it is not attended."""

Pairwise = Callable[[int, int], Position]
"""Query i and key j, j <= i -> the relative position."""


@dataclass(frozen=True)
class Case:
    """A method's row of the matrix.

    Attributes:
        draw: makes the method with random parameters, for a trained window of `WINDOW` tokens and 8 frequencies; a
            field that is a tuple of 8 values has one a frequency, and is repeated for larger heads.
        example: one with fixed parameters.
        formula: for a method bound to `ROPE` and a planned length, its published formula for a single pair of tokens in
            plain Python integers or fractions, written without a look at the method's own code.
        near: distances below this have their true position, for a method bound to `ROPE` and a planned length.
        attainable: the longest input that `for_length` can map inside the trained window, for a method bound to `ROPE`.
    """

    draw: st.SearchStrategy[PositionalEncoding]
    example: PositionalEncoding
    formula: Callable[[PositionalEncoding, int], Pairwise]
    near: Callable[[PositionalEncoding, int], float] = lambda method, length: math.inf
    attainable: Callable[[PositionalEncoding], float] = lambda method: math.inf


OPTIONS: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {"temperature": st.sampled_from([None, 0.8, 1.3]), "log_n": st.booleans()}
)
"""The options that compose with any method."""


def with_options(method: PositionalEncoding, options: Mapping[str, Any]) -> PositionalEncoding:
    """The same method with options set."""
    return type(method)(method.config.model_copy(update=dict(options)))


def draw_plan(
    case: Case, data: st.DataObject, longest: int, options: Mapping[str, Any] | None = None
) -> tuple[PositionalEncoding, PositionPlan] | None:
    """A drawn method, bound, and its plan for a drawn length; None for a length that the method says it cannot map."""
    method = with_options(data.draw(case.draw), options or {}).bind(ROPE)
    try:
        return method, method.plan(data.draw(st.integers(1, longest)))
    except PlanError:
        return None
