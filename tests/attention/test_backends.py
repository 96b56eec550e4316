"""Every backend gives what the dense oracle gives, for every method of the matrix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lampe.attention import AutoAttention, ChunkedAttention, DenseAttention, PlanView, SDPAAttention
from lampe.attention.kernels import Merger, _plain, tile_attention
from lampe.attention.tiles import cut
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
    masked = torch.rand(rows, keys, generator=torch.Generator().manual_seed(seed)) < 0.7
    bias = torch.zeros(rows, keys).masked_fill(masked, -torch.inf)
    bias[0] = -torch.inf
    for mask in (None, bias):
        assert_tiles_equal(tile_attention(q, k, v, bias=mask), _plain(q, k, v, "rectangle", mask))
    square = inputs(2, 2, 3, rows, rows, seed=seed)
    assert_tiles_equal(tile_attention(*square, shape="causal"), _plain(*square, "causal", None))
    later = torch.full((rows, rows), -torch.inf).tril(-1)
    assert_tiles_equal(tile_attention(*square, shape="anticausal"), _plain(*square, "rectangle", later))


def assert_tiles_equal(found, expected):
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)
    seen = ~torch.isneginf(found[1])
    torch.testing.assert_close(found[0][seen], expected[0][seen], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(found[0]).all()
    assert torch.isfinite(expected[0]).all()


@pytest.mark.parametrize(
    "cuts", [[(0, 6, 0, 40)], [(0, 6, 0, 3), (0, 6, 3, 40)], [(0, 4, 0, 9), (0, 6, 9, 40), (4, 6, 0, 9)]]
)
def test_merging_tiles_gives_attention_over_their_union(cuts):
    q, k, v = inputs(1, 2, 2, 6, 40)
    merger = Merger(q)
    for first, last, low, high in cuts:
        merger.add(first, last, *tile_attention(q[:, :, first:last], k[:, :, low:high], v[:, :, low:high]))
        merger.add(first, last, torch.full_like(q[:, :, first:last], 7.0), torch.full((1, 4, last - first), -torch.inf))
    torch.testing.assert_close(merger.result(), tile_attention(q, k, v)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
@given(data=st.data())
def test_tiles_hold_every_pair_of_a_region_once_and_masks_stay_small(name, data):
    method = METHODS[name].example.bind(ROPE)
    plan = method.plan(data.draw(st.integers(1, 400))).within(data.draw(st.sampled_from([None, 60])))
    first, n_queries, block = (
        data.draw(st.integers(0, 400)),
        data.draw(st.integers(1, 400)),
        data.draw(st.sampled_from([1, 16, 64])),
    )
    view = PlanView(plan, first, n_queries)
    for region in plan.regions:
        start, stop = view.interval(region)
        keys = torch.arange(view.n_keys)
        expected = ((keys >= start[:, None]) & (keys < stop[:, None])).int()
        found = torch.zeros_like(expected)
        for tile in cut(view, region, block):
            (a, b), (low, high) = tile.queries, tile.keys
            pairs = torch.ones(b - a, high - low) if tile.bias is None else tile.bias.exp()
            found[a:b, low:high] += {"causal": pairs.tril(), "anticausal": pairs.triu()}.get(tile.shape, pairs).int()
            if tile.bias is not None:
                assert tile.bias.shape[0] <= block
                assert tile.bias.shape[1] <= 4 * block
        assert torch.equal(found, expected)
