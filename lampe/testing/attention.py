"""Properties of attention over a method's plans: every backend gives what the dense oracle gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

from lampe.attention import AttentionBackend, DenseAttention, PlanView, SDPAAttention
from lampe.positional import PositionPlan, RoPE
from lampe.testing.case import OPTIONS, ROPE, Case, draw_plan, with_options

GROUP_SIZES = (1, 3, 4, 8)
"""Query heads for each key-value head."""


def inputs(
    batch: int, groups: int, ratio: int, queries: int, keys: int, dtype: torch.dtype = torch.float32, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random query [b, groups * ratio, queries, d], and key and value [b, groups, keys, d]."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, groups * ratio, queries, ROPE.dim, generator=generator).to(dtype)
    key, value = (torch.randn(batch, groups, keys, ROPE.dim, generator=generator).to(dtype) for _ in range(2))
    return query, key, value


def backends_equal_the_oracle(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """In fp32, for grouped heads, any number of queries after any number of keys, windows and options."""
    if (drawn := draw_plan(case, data, 100, data.draw(OPTIONS))) is None:
        return False
    plan = drawn[1].within(data.draw(st.sampled_from([None, 1, 17, 64])))
    keys = plan.length + data.draw(st.integers(0, 40))
    queries = data.draw(st.integers(1, keys))
    ratio, batch = data.draw(st.sampled_from(GROUP_SIZES)), data.draw(st.integers(1, 2))
    q, k, v = inputs(batch, 2, ratio, queries, keys, seed=data.draw(st.integers(0, 99)))
    expected = DenseAttention()(q, k, v, plan)
    usable = supporting(backends, PlanView(plan, keys - queries, queries))
    for backend in usable:
        torch.testing.assert_close(backend(q, k, v, plan), expected, atol=3e-5, rtol=1e-5, msg=about(backend))
    return bool(usable)


def backends_are_as_exact_as_bf16(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """In bf16 the error is that of plain causal attention in bf16, grown by what sharpens the softmax."""
    if (drawn := draw_plan(case, data, 120)) is None:
        return False
    plan = drawn[1]
    q, k, v = inputs(1, 2, data.draw(st.sampled_from(GROUP_SIZES)), 130, 130, torch.bfloat16)
    wide = [x.float() for x in (q, k, v)]
    exact = DenseAttention()(wide[0], wide[1], wide[2], plan)
    sharpness = float(plan.query_scale(torch.tensor([129])))
    usable = supporting(backends, PlanView(plan, 0, 130))
    for backend in usable:
        error = float((backend(q, k, v, plan).float() - exact).abs().max())
        allowed = 2.5 * sharpness * plain_bf16_error(q, k, v)
        assert error < allowed, about(backend)(f"an error of {error:.3g}, where {allowed:.3g} is allowed")
    return bool(usable)


def stored_keys_give_the_same(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """Keys that lie as a cache keeps them, for this or for another query, give what fresh ones do."""
    if (drawn := draw_plan(case, data, 100, data.draw(OPTIONS))) is None:
        return False
    plan = drawn[1]
    first, queries = data.draw(st.integers(0, 100)), data.draw(st.integers(1, 30))
    q, k, v = inputs(2, 2, 2, queries, first + queries)
    layout = plan.layout(data.draw(st.integers(first + queries - 1, 200)))
    stored = torch.empty_like(k)
    PlanView(plan, 0, first + queries, stored=layout).store(k, out=stored)
    view = PlanView(plan, first, queries, stored=layout)
    expected = DenseAttention()(q, k, v, plan)
    usable = supporting(backends, view)
    for backend in [DenseAttention(), *usable]:
        out = backend.forward(q, stored, v, view)
        torch.testing.assert_close(out, expected, atol=5e-5, rtol=1e-5, msg=about(backend))
    return bool(usable)


def the_far_end_is_exact(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """The queries at 131070 and 131071 of a plan made for 131072 tokens, from fresh and from stored keys."""
    plan = with_options(case.example, {"temperature": 1.0}).bind(ROPE).plan(131072)
    q, k, v = inputs(1, 1, 2, 2, 131072)
    expected = DenseAttention()(q, k, v, plan)
    stored, layout = torch.empty_like(k), plan.layout(131071)
    PlanView(plan, 0, 131072, stored=layout).store(k, out=stored)
    view = PlanView(plan, 131070, 2, stored=layout)
    usable = supporting(backends, view)
    for backend in usable:
        out = backend(q, k, v, plan)
        # fp32 angles of 131071 radians are known to 2^-8, and every backend shares them with transformers.
        torch.testing.assert_close(out, expected, atol=2e-3, rtol=0, msg=about(backend))
        again = backend.forward(q, stored, v, view)
        torch.testing.assert_close(again, out, atol=1e-6, rtol=1e-5, msg=about(backend))
    return bool(usable)


def supporting(backends: Sequence[AttentionBackend], *views: PlanView) -> list[AttentionBackend]:
    """Those of the backends that take all these plans."""
    return [backend for backend in backends if all(map(backend.supports, views))]


def plain_bf16_error(query: Tensor, key: Tensor, value: Tensor) -> float:
    """What rounding to bf16 costs plain causal attention of these inputs: the yardstick of bf16."""
    causal: PositionPlan = RoPE(original_window=2**20).bind(ROPE).plan(query.shape[2])
    exact = DenseAttention()(query.float(), key.float(), value.float(), causal)
    return float((SDPAAttention()(query, key, value, causal).float() - exact).abs().max())


def about(backend: AttentionBackend) -> Callable[[str], str]:
    """Puts the backend's config before what a failed comparison says."""
    return lambda text: f"{backend.config}\n{text}"
