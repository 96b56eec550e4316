"""Properties of a method's plans: what they say, without any attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor

from lampe.config import RopeConfig
from lampe.errors import PlanError
from lampe.positional import Llama3, PositionalEncoding, PositionPlan, RemapEncoding
from lampe.positional.base import inverse_frequencies
from lampe.testing.case import ROPE, WINDOW, Case, draw_plan, with_options


def owners(plan: PositionPlan, tokens: int) -> Tensor:
    """How many regions own each pair of the first `tokens` tokens, int64 [tokens, tokens]."""
    index = torch.arange(tokens)
    count = torch.zeros(tokens, tokens, dtype=torch.int64)
    for region in plan.regions:
        start, stop = region.interval(index)
        count += (index >= start[:, None]) & (index < stop[:, None])
    return count


def regions_cover(case: Case, data: st.DataObject) -> bool:
    """Every causal pair is owned once, or not at all where the method says what it drops."""
    if (drawn := draw_plan(case, data, 200)) is None:
        return False
    method, plan = drawn
    tokens = plan.length + data.draw(st.integers(0, 30))
    owned, causal = owners(plan, tokens), torch.ones(tokens, tokens, dtype=torch.int64).tril()
    wrong = owned != causal
    if method.drops:
        # What is dropped belongs to no region; a query's own key never is.
        wrong &= (owned > causal) | torch.eye(tokens, dtype=torch.bool)
    for i, j in wrong.nonzero()[:1].tolist():
        raise AssertionError(f"{_at(method, plan, i, j)}: owned by {owned[i, j]} regions, expected {causal[i, j]}")
    return True


def positions_equal_the_formula(case: Case, data: st.DataObject) -> bool:
    """The table of relative positions is the published formula, pair by pair, past the planned length too."""
    if (drawn := draw_plan(case, data, 80)) is None:
        return False
    method, plan = drawn
    tokens = plan.length + data.draw(st.integers(0, 30))
    formula = case.formula(method, plan.length)
    found = plan.relative_positions(tokens).double()
    width = found.shape[2] if found.ndim == 3 else 0
    for i in range(tokens):
        for j in range(tokens):
            position = formula(i, j) if j <= i else None
            expected = position if isinstance(position, tuple) else (-1 if position is None else position,)
            assert len(expected) in (1, width or 1), f"{len(expected)} positions of a pair for {width or 1} groups"
            pair = found[i, j].reshape(-1).tolist()
            wanted = [float(x) for x in expected] * (len(pair) // len(expected))
            assert all(abs(x - y) < 1e-9 for x, y in zip(pair, wanted, strict=True)), (
                f"{_at(method, plan, i, j)}: the plan says {pair}, the formula {wanted} (coordinates are compared to "
                "1e-9: those that are no integers need float64)"
            )
    return True


def _at(method: PositionalEncoding, plan: PositionPlan, i: int, j: int) -> str:
    return f"{method!r}, planned for {plan.length} tokens, query {i}, key {j}"


def near_positions_are_true(case: Case, data: st.DataObject) -> bool:
    """Where the method promises it, a pair at distance d has position d."""
    if (drawn := draw_plan(case, data, 200)) is None:
        return False
    method, plan = drawn
    tokens = plan.length + data.draw(st.integers(0, 30))
    found = plan.relative_positions(tokens).double()
    index = torch.arange(tokens)
    distance = (index[:, None] - index).double()
    near = (distance >= 0) & (distance < case.near(method, plan.length))
    for group in (found,) if found.ndim == 2 else found.unbind(-1):
        for i, j in (near & (group != distance)).nonzero()[:1].tolist():
            raise AssertionError(f"{_at(method, plan, i, j)}: position {group[i, j]:g}, but `near` promises {i - j}")
    return True


def largest_position_is_that_of_the_table(case: Case, data: st.DataObject) -> bool:
    """What `largest_position` says without the table is the table's maximum."""
    if (drawn := draw_plan(case, data, 150)) is None:
        return False
    _, plan = drawn
    tokens = plan.length + data.draw(st.integers(0, 30))
    assert abs(plan.largest_position(tokens) - float(plan.relative_positions(tokens).max())) < 1e-9
    return True


def reach_is_where_the_window_ends(case: Case, data: st.DataObject) -> bool:
    """A plan for `reach` tokens is inside the trained window, one for a token more is not; without an end, none is."""
    method = data.draw(case.draw).bind(ROPE)
    reach = method.reach()

    def beyond(length: int) -> float:
        try:
            return method.plan(length).largest_position() - method.position_limit(length)
        except PlanError:
            # What cannot be mapped is not inside.
            return math.inf

    if math.isinf(reach):
        assert beyond(data.draw(st.integers(1, 5000))) < 0
        return True
    assert reach == int(reach) >= 1
    # Fractional positions are known to a rounding error only.
    assert beyond(int(reach)) < 1e-9
    assert beyond(int(reach) + 1) > -1e-9
    return True


def fields_are_set_for_a_length(case: Case, data: st.DataObject) -> bool:
    """`for_length` maps the asked length inside the window as far as the method can, and leaves what was set."""
    length = data.draw(st.integers(1, 3 * WINDOW) | st.integers(1, 40 * WINDOW))
    # Fields without a default are the example's, and count as set by hand.
    known = type(case.example.config).model_fields.items()
    needed = {name: getattr(case.example.config, name) for name, field in known if field.is_required()}
    plain = type(case.example)(**needed).bind(ROPE)
    chosen = {name: value for name, value in plain.fields_for(length).items() if name not in needed}
    fitted = plain.for_length(length)
    assert {name: getattr(fitted.config, name) for name in chosen} == chosen
    assert plain.for_length(2 * length).for_length(length).config == plain.for_length(2 * length).config
    if chosen:
        assert fitted.reach() >= min(length, case.attainable(fitted))
        by_hand = {name: getattr(case.example.config, name) for name in chosen}
        stated = type(plain)(**needed, **by_hand).bind(ROPE).for_length(length)
        assert {name: getattr(stated.config, name) for name in chosen} == by_hand
    return True


def options_compose(case: Case, data: st.DataObject) -> bool:
    """Temperature, log-n, a window and the checkpoint's own scaling do what they say, and nothing else."""
    if (drawn := draw_plan(case, data, 150)) is None:
        return False
    method, plan = drawn
    changed = with_options(method, {"temperature": 1.5, "log_n": True}).bind(ROPE).plan(plan.length)
    queries = torch.tensor([0, WINDOW - 1, WINDOW**2 - 1])
    expected = torch.tensor([2.25, 2.25, 4.5])
    torch.testing.assert_close(changed.query_scale(queries), expected)
    assert torch.equal(changed.inv_freq, plan.inv_freq)
    full = plan.relative_positions()
    assert torch.equal(changed.relative_positions(), full)
    window = data.draw(st.integers(1, 160))
    index = torch.arange(plan.length)
    seen = index[:, None] - index < window
    seen = seen if full.ndim == 2 else seen[..., None]
    assert torch.equal(plan.within(window).relative_positions(), torch.where(seen, full, torch.full_like(full, -1)))
    if isinstance(method, RemapEncoding):
        scaling = Llama3.Config(factor=4)
        scaled = ROPE.model_copy(update={"scaling": scaling, "max_position": 4 * WINDOW})
        kept, off = method.bind(scaled), with_options(method, {"checkpoint_scaling": "off"}).bind(scaled)
        assert torch.equal(kept.plan(plan.length).inv_freq, Llama3(scaling, scaled).plan(1).inv_freq)
        assert torch.equal(off.plan(plan.length).inv_freq, inverse_frequencies(ROPE.theta, ROPE.dim))
    return True


def plans_cannot_be_made_for_nothing(case: Case, data: st.DataObject) -> bool:
    """No tokens is refused in a sentence; an unbound method says what it needs."""
    method = data.draw(case.draw)
    refused = [
        said(lambda: method.bind(ROPE).plan(0), ValueError),
        said(lambda: method.bind(ROPE).for_length(0), ValueError),
        said(lambda: method.plan(4), RuntimeError),
    ]
    assert "at least 1 token" in refused[0]
    assert "at least 1 token" in refused[1]
    assert "not bound to a checkpoint" in refused[2]
    return True


def said(call: Callable[[], object], error: type[Exception]) -> str:
    """The sentence with which a call is refused; nothing where it is not."""
    try:
        call()
    except error as refusal:
        return str(refusal)
    return ""


def frequencies_are_a_table(case: Case, data: st.DataObject) -> bool:
    """D / 2 finite fp32 frequencies, none above RoPE's, whatever the head dimension; A is positive."""
    dim = data.draw(st.sampled_from([16, 32, 64, 128]))
    rope = RopeConfig(
        theta=data.draw(st.sampled_from([1e4, 5e5, 1e6])), dim=dim, max_position=WINDOW, original_window=WINDOW
    )
    method = data.draw(case.draw)
    fields = {
        name: value * (dim // ROPE.dim)
        for name, value in method.config.model_dump().items()
        if isinstance(value, tuple) and len(value) == ROPE.dim // 2
    }
    inv_freq, temperature = type(method)(method.config.model_copy(update=fields), rope).frequencies(
        data.draw(st.integers(1, 5000))
    )
    assert inv_freq.dtype == torch.float32
    assert inv_freq.shape == (dim // 2,)
    assert bool((inv_freq >= 0).all())
    assert bool((inv_freq <= inverse_frequencies(rope.theta, dim) * (1 + 1e-6)).all())
    assert 0 < temperature < 10
    return True
