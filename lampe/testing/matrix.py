"""The matrix: every property, what it is run on, and how often."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lampe.attention import AttentionBackend, ChunkedAttention
from lampe.attention import registry as attention_backends
from lampe.errors import closest
from lampe.positional import PositionWarning
from lampe.testing import attention, decoding, positions
from lampe.testing.case import Case
from lampe.testing.cases import CASES

OfPlans = Callable[[Case, st.DataObject], bool]
OfBackends = Callable[[Case, st.DataObject, Sequence[AttentionBackend]], bool]

EXAMPLES = int(os.environ.get("LAMPE_MATRIX_EXAMPLES", "10"))
"""Random plans for each property of a method, where the property sets no lower number."""

ORACLE = "dense"


@dataclass(frozen=True)
class Property:
    """A column of the matrix.

    Attributes:
        name: what the matrix calls it.
        holds: raises AssertionError where the property fails; returns whether a plan was tried.
        needs_backends: whether `holds` takes the attention backends to try.
        share: of the number of random plans, for properties that cost more.
        fixed: whether it is run once, on the case's example, because it is large.
    """

    name: str
    holds: OfPlans | OfBackends
    needs_backends: bool = False
    share: float = 1.0
    fixed: bool = False


_ALL = (
    Property("disjoint cover", positions.regions_cover),
    Property("formula", positions.positions_equal_the_formula),
    Property("near is true", positions.near_positions_are_true),
    Property("largest position", positions.largest_position_is_that_of_the_table),
    Property("reach", positions.reach_is_where_the_window_ends),
    Property("for_length", positions.fields_are_set_for_a_length),
    Property("options", positions.options_compose),
    Property("frequencies", positions.frequencies_are_a_table),
    Property("refusals", positions.plans_cannot_be_made_for_nothing, share=0.2),
    Property("fp32", attention.backends_equal_the_oracle, needs_backends=True),
    Property("bf16", attention.backends_are_as_exact_as_bf16, needs_backends=True, share=0.5),
    Property("stored keys", attention.stored_keys_give_the_same, needs_backends=True, share=0.5),
    Property("131071", attention.the_far_end_is_exact, needs_backends=True, fixed=True),
    Property("decode", decoding.decoding_equals_prefill, needs_backends=True, share=0.4),
    Property("decode to 8 N", decoding.decoding_goes_on_token_by_token, needs_backends=True, fixed=True),
    Property("replan", decoding.a_longer_plan_takes_over, needs_backends=True, share=0.4),
    Property("batch rows", decoding.rows_do_not_know_each_other, needs_backends=True, share=0.4),
    Property("decode to 131072", decoding.the_last_tokens_before_131072_agree, needs_backends=True, fixed=True),
)

PROPERTIES: Mapping[str, Property] = {column.name: column for column in _ALL}
OF_BACKENDS = tuple(column.name for column in _ALL if column.needs_backends)


def all_backends() -> list[AttentionBackend]:
    """Every registered backend but the oracle."""
    return [attention_backends.create(name) for name in attention_backends.names() if name != ORACLE]


def run(
    case: Case,
    column: Property,
    *,
    backends: Sequence[AttentionBackend] | None = None,
    examples: int = EXAMPLES,
) -> int:
    """Try one property of a method on random plans.

    Args:
        backends: those to compare with the oracle; None for all that are registered.
        examples: how many random plans; large properties take their share.

    Returns:
        How many plans were tried; lengths that the method says it cannot map do not count.

    Raises:
        AssertionError: the property does not hold; hypothesis has reduced the plan to a small one.
    """
    tried = 0
    if backends is None:
        # Blocks so small that short inputs have many; the large properties have many as it is.
        backends = all_backends() if column.fixed else [*all_backends(), ChunkedAttention(query_block=7)]
    arguments = [backends] if column.needs_backends else []

    @settings(
        max_examples=1 if column.fixed else max(2, round(examples * column.share)),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        nonlocal tried
        tried += column.holds(case, data, *arguments)

    threads = torch.get_num_threads()
    # Tensors this small only make threads wait for each other.
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PositionWarning)
            attempt()
    finally:
        torch.set_num_threads(threads)
    return tried


def check(case: Case, *, properties: Iterable[str] = tuple(PROPERTIES), examples: int = EXAMPLES) -> dict[str, int]:
    """Try properties of a method, all unless told otherwise, with every registered backend.

    Returns:
        How many plans were tried, by property.

    Raises:
        AssertionError: a property does not hold.
        ValueError: a property is unknown.
    """
    return {name: run(case, _property(name), examples=examples) for name in properties}


def check_backend(
    backend: AttentionBackend,
    *,
    cases: Iterable[Case] = tuple(CASES.values()),
    properties: Iterable[str] = OF_BACKENDS,
    examples: int = EXAMPLES,
) -> dict[str, int]:
    """Try a backend against the oracle, on the plans of every method unless told otherwise.

    The properties at 131072 tokens hold fp32 logits to 1e-5: weights times values summed plainly in fp32 miss that.

    Returns:
        How many plans were tried, by property.

    Raises:
        AssertionError: the backend differs from the oracle, or from itself in a chunked prefill or a decode step; or it
            takes none of the plans, so that nothing was tried.
    """
    chosen = list(cases)
    tried = {
        name: sum(run(case, _property(name), backends=[backend], examples=examples) for case in chosen)
        for name in properties
    }
    assert any(tried.values()), f"{backend.config}: its `supports` takes none of these plans, so nothing was tried"
    return tried


def _property(name: str) -> Property:
    if name not in PROPERTIES:
        raise ValueError(f"unknown property {name!r}{closest(name, PROPERTIES)}; there are: {', '.join(PROPERTIES)}")
    return PROPERTIES[name]
