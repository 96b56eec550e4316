"""Every method of the matrix: its regions, and its relative positions against the published formula."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lampe.positional import LaMPE, PositionPlan, PositionWarning, Region, RoPE
from tests.methods import METHODS, ROPE, WINDOW

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


def plan_of(entry, data, longest: int) -> tuple[object, PositionPlan, int]:
    """A drawn method, its plan, and how many tokens to look at: up to the planned length and past it."""
    method = data.draw(entry.draw).bind(ROPE)
    length = data.draw(st.integers(1, longest))
    try:
        return method, method.plan(length), length + data.draw(st.integers(0, 30))
    except ValueError as error:
        if "too coarse" not in str(error):
            raise
        return method, RoPE().bind(ROPE).plan(1), 0


@pytest.mark.parametrize("name", METHODS)
@given(data=st.data())
def test_regions_are_disjoint_and_cover_the_causal_triangle(name, data):
    _, plan, tokens = plan_of(METHODS[name], data, 200)
    queries = torch.arange(tokens)
    owners = torch.zeros(tokens, tokens, dtype=torch.int64)
    for region in plan.regions:
        start, stop = region.interval(queries)
        owners += (queries >= start[:, None]) & (queries < stop[:, None])
    assert torch.equal(owners, torch.ones_like(owners).tril())


@pytest.mark.parametrize("name", METHODS)
@given(data=st.data())
def test_relative_positions_equal_the_published_formula_pair_by_pair(name, data):
    method, plan, tokens = plan_of(METHODS[name], data, 80)
    formula = METHODS[name].formula(method, plan.length)
    expected = [[float(formula(i, j)) if j <= i else -1.0 for j in range(tokens)] for i in range(tokens)]
    found = plan.relative_positions(tokens).double()
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64).view(tokens, tokens), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("name", METHODS)
@given(data=st.data())
def test_largest_position_is_that_of_the_table(name, data):
    _, plan, tokens = plan_of(METHODS[name], data, 150)
    if tokens:
        assert plan.largest_position(tokens) == pytest.approx(float(plan.relative_positions(tokens).max()), abs=1e-9)


def test_largest_position_when_key_positions_wrap():
    wrapped = Region("wrapped", key_position=lambda j: j % 7)
    plan = PositionPlan(50, torch.ones(2), (wrapped,))
    assert plan.largest_position() == plan.relative_positions().max() == 49


@given(window=st.integers(1, 90), data=st.data())
def test_a_window_drops_exactly_the_distances_beyond_it(window, data):
    _, plan, tokens = plan_of(METHODS["lampe"], data, 100)
    full, cut = plan.relative_positions(tokens), plan.within(window).relative_positions(tokens)
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    assert torch.equal(cut, torch.where(distance < window, full, torch.full_like(full, -1)))


def test_frequency_groups_have_coordinates_of_their_own():
    grouped = Region("grouped", key_position=lambda j: torch.stack([j, j // 2], dim=1))
    region = Region(
        "grouped", query_position=lambda i: torch.stack([i, i // 2], dim=1), key_position=grouped.key_position
    )
    plan = PositionPlan(6, torch.tensor([1.0, 0.5, 0.25, 0.125]), (region,))
    assert plan.relative_positions()[5, 2].tolist() == [3, 1]
    assert plan.relative_positions()[2, 5].tolist() == [-1, -1]
    angles = plan.angles(region.query_position(torch.tensor([5])))
    assert angles.tolist() == [[5.0, 2.5, 0.5, 0.25]]


def test_log_n_scales_queries_beyond_the_window_only():
    plan = RoPE(log_n=True, temperature=2.0).bind(ROPE).plan(10)
    queries = torch.tensor([0, WINDOW - 1, WINDOW * WINDOW - 1])
    assert plan.query_scale(queries).tolist() == pytest.approx([4.0, 4.0, 8.0])


def test_a_plan_outside_the_trained_window_warns_once_with_numbers():
    method = RoPE().bind(ROPE)
    with pytest.warns(PositionWarning, match=r"rope: 100 tokens reach relative position 99, outside .* window of 64"):
        method.plan(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.plan(200)
        LaMPE(head=8, tail=8, span=40).bind(ROPE).plan(400)


def test_positions_behind_a_sliding_window_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RoPE().bind(ROPE).plan(100, sliding_window=WINDOW).largest_position() == 99
    with pytest.warns(PositionWarning, match="reach relative position 64"):
        RoPE().bind(ROPE).plan(100, sliding_window=WINDOW + 1)


def test_original_window_overrides_the_checkpoint():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RoPE(original_window=101).bind(ROPE).plan(100)


def test_a_plan_needs_a_token_and_a_checkpoint():
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        RoPE().bind(ROPE).plan(0)
    with pytest.raises(RuntimeError, match="not bound to a checkpoint"):
        RoPE().plan(4)
