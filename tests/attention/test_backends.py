"""Every backend gives what the dense oracle gives, for every method of the matrix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lampe.attention import AutoAttention, ChunkedAttention, DenseAttention, PlanView, SDPAAttention
from lampe.attention.kernels import _plain, merge_tiles, tile_attention
from lampe.positional import LaMPE, PositionPlan, Region, RoPE
from tests.methods import METHODS, ROPE

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

def inputs(batch: int, groups: int, ratio: int, queries: int, keys: int, dtype=torch.float32, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, groups * ratio, queries, ROPE.dim), *[(batch, groups, keys, ROPE.dim)] * 2]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def bf16_error(query, key, value, plan) -> float:
    """What rounding to bf16 costs plain causal attention of these inputs: the yardstick of bf16 tests."""
    causal = RoPE().bind(ROPE).plan(plan.length)
    exact = DenseAttention()(*(x.float() for x in (query, key, value)), causal)
    return float((SDPAAttention()(query, key, value, causal).float() - exact).abs().max())


@pytest.mark.parametrize("name", METHODS)
@given(ratio=st.sampled_from([1, 3, 4, 8]), data=st.data())
def test_chunked_and_auto_equal_dense(name, ratio, data):
    method = data.draw(METHODS[name].draw).bind(ROPE)
    length = data.draw(st.integers(1, 100))
    try:
        plan = method.plan(length).within(data.draw(st.sampled_from([None, 1, 17, 64])))
    except ValueError:
        return
    keys = length + data.draw(st.integers(0, 40))
    queries = data.draw(st.integers(1, keys))
    q, k, v = inputs(data.draw(st.integers(1, 2)), 2, ratio, queries, keys, seed=data.draw(st.integers(0, 99)))
    expected = DenseAttention()(q, k, v, plan)
    block = data.draw(st.sampled_from([1, 7, 16, 64]))
    for backend in (ChunkedAttention(query_block=block), AutoAttention()):
        torch.testing.assert_close(backend(q, k, v, plan), expected, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name, entry in METHODS.items() if len(entry.example.bind(ROPE).regions(9)) == 1]
)
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 50), (50, 50), (13, 50)])
def test_sdpa_equals_dense(name, queries, keys):
    plan = METHODS[name].example.bind(ROPE).plan(9)
    q, k, v = inputs(2, 2, 3, queries, keys)
    torch.testing.assert_close(SDPAAttention()(q, k, v, plan), DenseAttention()(q, k, v, plan), atol=3e-5, rtol=1e-5)


def test_sdpa_refuses_a_plan_of_several_regions():
    plan = LaMPE(head=4, tail=4, span=20).bind(ROPE).plan(60)
    with pytest.raises(ValueError, match=r"not \(head, middle, tail\); use attention 'auto' or 'chunked'"):
        SDPAAttention()(*inputs(1, 1, 1, 60, 60), plan)


@pytest.mark.parametrize("name", METHODS)
def test_bf16_is_as_exact_as_plain_attention_in_bf16(name):
    plan = METHODS[name].example.bind(ROPE).plan(200)
    q, k, v = inputs(1, 2, 2, 230, 230, torch.bfloat16)
    exact = DenseAttention()(q.float(), k.float(), v.float(), plan)
    error = float((ChunkedAttention(query_block=32)(q, k, v, plan).float() - exact).abs().max())
    # Temperature and log-n sharpen the softmax, and with it the effect of a rounded score.
    sharpness = float(plan.query_scale(torch.tensor([229])))
    assert error < 2.5 * sharpness * bf16_error(q, k, v, plan)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("backend", [ChunkedAttention(query_block=8), AutoAttention(), DenseAttention()])
def test_keys_stored_at_their_home_give_the_same(name, backend):
    plan = METHODS[name].example.bind(ROPE).plan(100)
    q, k, v = inputs(2, 2, 2, 30, 130)
    raw = PlanView(plan, 0, 130, stored=plan.home)
    stored = torch.empty_like(k)
    raw.store(k, out=stored)
    out = backend.forward(q, stored, v, PlanView(plan, 100, 30, stored=plan.home))
    torch.testing.assert_close(out, DenseAttention()(q, k, v, plan), atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_the_far_end_is_exact(name):
    """Queries at position 131070 and 131071, of a plan made for 131072 tokens."""
    method = METHODS[name].example
    plan = type(method)(method.config.model_copy(update={"temperature": 1.0}), ROPE).plan(131072)
    q, k, v = inputs(1, 1, 2, 2, 131072)
    out = ChunkedAttention()(q, k, v, plan)
    # fp32 angles of 131071 radians are known to 2^-8, and every backend shares them with transformers.
    torch.testing.assert_close(out, DenseAttention()(q, k, v, plan), atol=2e-3, rtol=0)
    view = PlanView(plan, 0, 131072, stored=plan.home)
    stored = torch.empty_like(k)
    view.store(k, out=stored)
    again = ChunkedAttention().forward(q, stored, v, PlanView(plan, 131070, 2, stored=plan.home))
    torch.testing.assert_close(again, out, atol=1e-6, rtol=1e-5)


def test_a_method_that_drops_keys_and_wraps_its_positions():
    """Sinks and a window, chunks that wrap: nothing in the backends counts on the methods that ship."""
    regions = (
        Region(
            "sinks",
            stop=lambda i: torch.minimum(i + 1, torch.full_like(i, 4)),
            query_position=lambda i: i.clamp(max=20),
        ),
        Region("window", start=lambda i: (i - 15).clamp(min=4)),
    )
    wrapped = (
        Region("chunk", start=lambda i: i // 16 * 16, query_position=lambda i: i % 16, key_position=lambda j: j % 16),
        Region(
            "older", stop=lambda i: i // 16 * 16, query_position=lambda i: i * 0 + 31, key_position=lambda j: j % 16
        ),
    )
    for case in (regions, wrapped):
        plan = PositionPlan(90, RoPE().bind(ROPE).plan(9).inv_freq, case)
        q, k, v = inputs(1, 2, 2, 90, 90)
        for block in (1, 8, 33, 256):
            out = ChunkedAttention(query_block=block)(q, k, v, plan)
            torch.testing.assert_close(out, DenseAttention()(q, k, v, plan), atol=3e-5, rtol=1e-5)


def test_dense_scores_one_pair_as_the_formula_says():
    plan = PositionPlan(2, torch.tensor([0.7]), (Region("all", query_position=lambda i: 3 * i),))
    q, k = torch.tensor([[1.0, 2.0], [0.5, -1.0]]), torch.tensor([[0.3, 0.4], [1.5, 0.2]])
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    def score(i: int, j: int, relative: float) -> torch.Tensor:
        angle = torch.tensor(0.7 * relative)
        turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
        return (turn @ q[i]) @ k[j] / 2**0.5

    weights = torch.stack([score(1, 0, 3.0), score(1, 1, 2.0)]).softmax(dim=0)
    out = DenseAttention()(q[None, None], k[None, None], v[None, None], plan)
    torch.testing.assert_close(out[0, 0, 1], weights)
    torch.testing.assert_close(out[0, 0, 0], torch.tensor([1.0, 0.0]))


def test_shapes_that_do_not_fit_are_refused():
    plan = RoPE().bind(ROPE).plan(4)
    q, k, v = inputs(1, 2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"expected \[b, h, t, d\]"):
        ChunkedAttention()(q, k[:, :, :3], v[:, :, :3], plan)


@given(seed=st.integers(0, 1000), rows=st.integers(1, 40), keys=st.integers(1, 90))
def test_the_fused_tile_equals_the_plain_one(seed, rows, keys):
    q, k, v = inputs(2, 2, 3, rows, keys, seed=seed)
    bias = torch.zeros(rows, keys).masked_fill(
        torch.rand(rows, keys, generator=torch.Generator().manual_seed(seed)) < 0.7, -torch.inf
    )
    bias[0] = -torch.inf
    for mask in (None, bias):
        (out, log_sum_exp), (plain, plain_log_sum_exp) = tile_attention(q, k, v, mask), _plain(q, k, v, mask)
        torch.testing.assert_close(log_sum_exp, plain_log_sum_exp, atol=1e-5, rtol=1e-5)
        seen = ~torch.isneginf(log_sum_exp)
        torch.testing.assert_close(out[seen], plain[seen], atol=1e-5, rtol=1e-5)
        assert torch.isfinite(out).all()
        assert torch.isfinite(plain).all()


def test_merging_tiles_gives_attention_over_their_union():
    q, k, v = inputs(1, 2, 2, 6, 40)
    tiles = [tile_attention(q, k[:, :, a:b], v[:, :, a:b], None) for a, b in ((0, 3), (3, 30), (30, 40))]
    nothing = (torch.full_like(q, 7.0), torch.full(q.shape[:3], -torch.inf))
    torch.testing.assert_close(merge_tiles([*tiles, nothing]), tile_attention(q, k, v, None)[0], atol=1e-6, rtol=1e-5)
