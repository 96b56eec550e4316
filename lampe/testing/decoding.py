"""Properties of a whole model: prefill, chunked prefill and decoding agree, and so do rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor

from lampe.attention import AttentionBackend, PlanView
from lampe.config import ModelConfig
from lampe.errors import PlanError
from lampe.generation import Engine
from lampe.models.cache import KVCache
from lampe.models.transformer import Transformer
from lampe.positional import PositionalEncoding
from lampe.testing.attention import about, supporting
from lampe.testing.case import OPTIONS, ROPE, Case, draw_plan, with_options

VOCABULARY = 64
TOLERANCE = 1e-5
"""Of the largest logit, in fp32."""


@cache
def small_model(windows: tuple[int | None, ...] = (), layers: int = 2) -> Transformer:
    """Layers with random weights, each with its sliding window."""
    config = ModelConfig(
        kind="llama",
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=64,
        n_layers=layers,
        n_heads=6,
        n_kv_heads=2,
        head_dim=ROPE.dim,
        rope=ROPE,
        sliding_windows=windows,
    )
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Norms near one and projections that neither vanish nor explode, so that every weight shows in the logits.
            spread = 0.1 if "norm" in name else 1.5 * parameter.shape[-1] ** -0.5
            parameter.normal_(float("norm" in name), spread, generator=generator)
    return model.eval()


def engine(
    method: PositionalEncoding, backend: AttentionBackend, windows: tuple[int | None, ...] = (), chunk: int = 4096
) -> Engine:
    """A small model that runs."""
    return Engine(small_model(windows), method.bind(ROPE), backend, chunk)


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    """Random token ids [rows, length]."""
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def in_pieces(engine: Engine, cache: KVCache, ids: Tensor, sizes: Sequence[int]) -> Tensor:
    """Logits of ids appended in pieces of the given sizes, then one by one."""
    sizes = [*sizes, *[1] * (ids.shape[1] - sum(sizes))]
    return torch.cat([engine.forward(piece, cache) for piece in torch.split(ids, sizes, dim=1)], dim=1)


def assert_same(found: Tensor, expected: Tensor, backend: AttentionBackend) -> None:
    """Equal to the tolerance of the design."""
    error = float((found - expected).abs().max()) / float(expected.abs().max())
    assert error < TOLERANCE, about(backend)(f"logits differ by {error:.2g} of the largest")


def decoding_equals_prefill(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """One pass, chunks and single tokens give the same logits, far past the planned length too."""
    if (drawn := draw_plan(case, data, 120, data.draw(OPTIONS))) is None:
        return False
    method, plan = drawn
    windows = data.draw(st.sampled_from([(), (20, None)]))
    planned, total = plan.length, plan.length + data.draw(st.integers(1, 150))
    usable = supporting(backends, PlanView(plan.within(20) if windows else plan, 0, total))
    if not usable:
        return False
    backend = data.draw(st.sampled_from(usable))
    one = engine(method, backend, windows)
    ids = tokens(1, total, seed=planned)
    whole = one.forward(ids, one.cache([planned]))
    singles = data.draw(st.integers(1, min(total, 25)))
    sizes = data.draw(pieces(total - singles))
    assert_same(in_pieces(one, one.cache([planned]), ids, sizes), whole, backend)
    chunked = engine(method, backend, windows, chunk=data.draw(st.integers(5, 60)))
    assert_same(chunked.forward(ids, chunked.cache([planned])), whole, backend)
    return True


def decoding_goes_on_token_by_token(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """Every single step, from the planned length to eight times it."""
    usable = supporting(backends, PlanView(case.example.bind(ROPE).plan(40), 0, 320))
    for backend in usable:
        running = engine(case.example, backend)
        ids = tokens(1, 320)
        whole = running.forward(ids, running.cache([40]))
        assert_same(in_pieces(running, running.cache([40]), ids, [40]), whole, backend)
    return bool(usable)


def a_longer_plan_takes_over(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """Cached keys rotated to the plan of a longer prompt give the logits of a fresh prefill, with one layer.

    Deeper layers hold what was computed under the plan before, so there a fresh prefill is no judge.
    """
    if (drawn := draw_plan(case, data, 120, data.draw(OPTIONS))) is None:
        return False
    method, plan = drawn
    total = plan.length + data.draw(st.integers(1, 150))
    try:
        views = [PlanView(plan, 0, plan.length), PlanView(method.plan(total), 0, total)]
    except PlanError:
        return False
    usable = supporting(backends, *views)
    if not usable:
        return False
    backend = data.draw(st.sampled_from(usable))
    running = Engine(small_model(layers=1), method, backend, data.draw(st.integers(20, 300)))
    ids = tokens(1, total, seed=plan.length)
    cached = running.cache([plan.length])
    running.forward(ids[:, : plan.length], cached)
    cached.replan([running.plans([total])[total]])
    found = running.forward(ids[:, plan.length :], cached)
    assert_same(found, running.forward(ids, running.cache([total]))[:, plan.length :], backend)
    return True


def rows_do_not_know_each_other(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """Rows with lengths and plans of their own, decoded together, each give what they give alone."""
    method = with_options(data.draw(case.draw), data.draw(OPTIONS)).bind(ROPE)
    lengths = data.draw(st.lists(st.integers(1, 150), min_size=2, max_size=4))
    budget = data.draw(st.integers(1, 12))
    try:
        views = [PlanView(method.plan(length), 0, length + budget) for length in lengths]
    except PlanError:
        return False
    usable = supporting(backends, *views)
    if not usable:
        return False
    backend = data.draw(st.sampled_from(usable))
    running = engine(method, backend)
    prompts = [tokens(1, length, seed) for seed, length in enumerate(lengths)]
    steps = tokens(len(lengths), budget, seed=9)
    together = running.cache(lengths, budget=budget)
    for row, prompt in enumerate(prompts):
        running.forward(prompt, together.select([row]))
    batched = in_pieces(running, together, steps, [])
    for row, prompt in enumerate(prompts):
        alone = running.cache([lengths[row]], budget=budget)
        running.forward(prompt, alone)
        assert_same(batched[row : row + 1], in_pieces(running, alone, steps[row : row + 1], []), backend)
    return True


def the_last_tokens_before_131072_agree(case: Case, data: st.DataObject, backends: Sequence[AttentionBackend]) -> bool:
    """Random keys stand for the first 131048 tokens; the rest arrive at once, in chunks, and one by one."""
    ids, before = tokens(1, 24), 131048
    usable = supporting(backends, PlanView(case.example.bind(ROPE).plan(131072), before, 24))
    for backend in usable:
        running = engine(case.example, backend)
        results = []
        for sizes in ([24], [5, 11]):
            cached = running.cache([131072])
            for tensors in (cached.storage.keys, cached.storage.values):
                tensors.normal_(generator=torch.Generator().manual_seed(0))
            row = cached.rows[0]
            row.length, row.layout = before, row.plan.layout(before - 1)
            results.append(in_pieces(running, cached, ids, sizes))
            assert cached.lengths == [131072]
        for result in results[1:]:
            assert_same(result, results[0], backend)
    return bool(usable)


@st.composite
def pieces(draw: st.DrawFn, total: int) -> list[int]:
    """Sizes that add up to `total`."""
    cuts = sorted(draw(st.sets(st.integers(1, max(total - 1, 1)), max_size=5)) & set(range(1, total)))
    edges = [0, *cuts, total]
    return [b - a for a, b in pairwise(edges) if b > a]
