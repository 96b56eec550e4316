"""Backends, kernels and tiles, apart from what the matrix says of every method."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lampe.attention import ChunkedAttention, DenseAttention, PlanView, SDPAAttention, blocks, fused, rotation
from lampe.attention.fused import pad_rows, plain_attention, spread_heads
from lampe.attention.kernels import rows_attention, tile_attention
from lampe.attention.merge import Merger, merge
from lampe.attention.rotation import rotate, tables
from lampe.attention.tiles import cut
from lampe.positional import LaMPE, PositionPlan, Region, RoPE
from lampe.testing import CASES, ROPE
from lampe.testing.attention import inputs

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


def test_sdpa_refuses_a_plan_of_several_regions():
    plan = LaMPE(head=4, tail=4, span=20).bind(ROPE).plan(60)
    with pytest.raises(ValueError, match=r"not \(head, middle, tail\); use attention 'auto' or 'chunked'"):
        SDPAAttention()(*inputs(1, 1, 1, 60, 60), plan)


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


def test_a_batch_of_queries_needs_keys_of_its_own():
    plan = RoPE().bind(ROPE).plan(4)
    (q, _, _), (_, k, v) = inputs(2, 2, 1, 1, 4), inputs(1, 2, 1, 1, 4)
    with pytest.raises(ValueError, match=r"query, key, value \[2, .*expected \[b, h, t, d\]"):
        ChunkedAttention()(q, k, v, plan)


@pytest.mark.parametrize("backend", [ChunkedAttention(), DenseAttention(), SDPAAttention()])
def test_gradients_are_refused_in_words(backend):
    plan = RoPE().bind(ROPE).plan(4)
    q, k, v = inputs(1, 2, 1, 4, 4)
    q.requires_grad_()
    with pytest.raises(ValueError, match="record no gradients"):
        backend(q, k, v, plan)
    with torch.no_grad():
        assert torch.isfinite(backend(q, k, v, plan)).all()


def test_sdpa_names_the_window_that_cuts_a_region():
    plan = RoPE().bind(ROPE).plan(60).within(20)
    with pytest.raises(ValueError, match=r"not \(all\) cut by a sliding window; use attention 'auto'"):
        SDPAAttention()(*inputs(1, 1, 1, 60, 60), plan)


@pytest.mark.parametrize("backend", [ChunkedAttention(query_block=4), SDPAAttention()])
@pytest.mark.parametrize("queries", [7, 60])
def test_an_older_torch_is_given_a_key_for_every_query_head(monkeypatch, backend, queries):
    """Its CPU kernel would read past the end of fewer; which torch runs here does not matter."""
    given = []

    def spread(query, *shared):
        given.append(query.shape)
        return spread_heads(query, *shared)

    monkeypatch.setattr(fused, "CPU_GROUPS_HEADS", False)
    monkeypatch.setattr(fused, "spread_heads", spread)
    plan, tensors = RoPE().bind(ROPE).plan(60), inputs(2, 3, 4, queries, 60)
    torch.testing.assert_close(backend(*tensors, plan), DenseAttention()(*tensors, plan), atol=3e-5, rtol=1e-5)
    assert given


@pytest.mark.parametrize("shape", [(3, 1, 5, 7, 8), (2, 6, 2, 1, 8), (1, 1, 1, 40, 8)])
def test_rotating_by_parts_is_rotating_whole(monkeypatch, shape):
    x = torch.randn(shape)
    for size in {(shape[0], 1, 1, 1), (shape[-2],), (1,)}:
        angles = torch.rand(*size, shape[-1] // 2)
        cos, sin = tables(angles)
        monkeypatch.setattr(rotation, "BLOCK", 2**20)
        whole = rotate(x, cos, sin)
        for module in (rotation, blocks):
            monkeypatch.setattr(module, "BLOCK", 64)
        assert torch.equal(rotate(x, cos, sin), whole)


@given(seed=st.integers(0, 1000), rows=st.integers(1, 40), keys=st.integers(1, 90))
def test_the_fused_tile_equals_the_plain_one(seed, rows, keys):
    q, k, v = inputs(2, 2, 3, rows, keys, seed=seed)
    masked = torch.rand(rows, keys, generator=torch.Generator().manual_seed(seed)) < 0.7
    bias = torch.zeros(rows, keys).masked_fill(masked, -torch.inf)
    bias[0] = -torch.inf
    for mask in (None, bias):
        assert_tiles_equal(tile_attention(q, k, v, bias=mask), plain_attention(q, k, v, bias=mask))
    square = inputs(2, 2, 3, rows, rows, seed=seed)
    assert_tiles_equal(tile_attention(*square, shape="causal"), plain_attention(*square, causal=True))
    later = torch.full((rows, rows), -torch.inf).tril(-1)
    assert_tiles_equal(tile_attention(*square, shape="anticausal"), plain_attention(*square, bias=later))


@pytest.mark.parametrize(("batch", "keys", "ratio"), [(1, 4096, 3), (1, 2050, 4), (3, 5001, 8), (1, 1500, 1)])
def test_a_few_rows_over_many_keys_are_shared_between_threads(batch, keys, ratio):
    torch.set_num_threads(2)
    q, k, v = inputs(batch, 3, ratio, 1, keys)
    rows = q.reshape(batch, 3, ratio, -1)
    room = torch.randn(batch, 3, keys + 7, k.shape[3])
    room[:, :, :keys] = k
    for cached in (k, room[:, :, :keys]):
        parts = rows_attention(pad_rows(rows), cached, v)
        assert len(parts) == (1 if keys < 2048 else 2 + keys % 2)
        merged = merge([output for output, _ in parts], [sums for _, sums in parts])[:, :, :ratio]
        torch.testing.assert_close(merged, plain_attention(rows, k, v)[0], atol=1e-6, rtol=1e-5)


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


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_tiles_hold_every_pair_of_a_region_once_and_masks_stay_small(name, data):
    method = CASES[name].example.bind(ROPE)
    plan = method.plan(data.draw(st.integers(1, 400))).within(data.draw(st.none() | st.integers(1, 100)))
    first, n_queries, block = (
        data.draw(st.integers(0, 400)),
        data.draw(st.integers(1, 400)),
        data.draw(st.sampled_from([1, 16, 64])),
    )
    view = PlanView(plan, first, n_queries)
    for region in view.regions:
        start, stop = region.interval
        keys = torch.arange(view.n_keys)
        expected = ((keys >= start[:, None]) & (keys < stop[:, None])).int()
        found = torch.zeros_like(expected)
        for tile in cut(view, region, block):
            (a, b), (low, high) = tile.queries, tile.keys
            strip = tile.strip or b - a
            width = high - low - (b - a - strip)
            pairs = torch.ones(strip, width) if tile.bias is None else tile.bias.exp()
            pairs = {"causal": pairs.tril(), "anticausal": pairs.triu()}.get(tile.shape, pairs).int()
            for moved in range(0, b - a, strip):
                found[a + moved : a + moved + strip, low + moved : low + moved + width] += pairs
            if tile.bias is not None:
                assert tile.bias.shape[0] <= block
                assert tile.bias.shape[1] <= 17 * block
        assert torch.equal(found, expected)
