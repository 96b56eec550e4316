"""Prefill, chunked prefill and decoding agree, for every method and family; batch rows equal single rows."""

from __future__ import annotations

import pytest
import torch

from lampe.attention import AutoAttention, ChunkedAttention
from lampe.generation import Engine
from lampe.positional import LaMPE
from tests.checkpoints import VARIANTS, make
from tests.engines import assert_logits_equal, engine_of, ids_of, in_pieces, load
from tests.methods import METHODS, ROPE

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

LAMPE = {"kind": "lampe", "head": 10, "tail": 8, "span": 30}


@pytest.mark.parametrize("backend", [ChunkedAttention(query_block=16), AutoAttention()])
@pytest.mark.parametrize("windows", [(), (20, None)])
@pytest.mark.parametrize("name", METHODS)
def test_prefill_chunked_prefill_and_decode_agree(name, windows, backend):
    """A plan for 100 tokens, followed to 180: past the head, past the tail's start, past N."""
    engine = engine_of(METHODS[name].example, windows=windows, backend=backend)
    ids = ids_of(1, 180)
    whole = engine.forward(ids, engine.cache([100]))
    for sizes in ([], [100], [37, 1, 62], [7] * 20):
        assert_logits_equal(in_pieces(engine, engine.cache([100]), ids, sizes), whole)
    chunked = engine_of(METHODS[name].example, windows=windows, backend=backend, chunk=33)
    assert_logits_equal(chunked.forward(ids, chunked.cache([100])), whole)
    assert_logits_equal(chunked.forward(ids, chunked.cache([100]), last=50), whole[:, -50:])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("positional", [None, LAMPE])
def test_every_family_agrees_with_itself(name, positional, tmp_path):
    make(name, tmp_path)
    engine = load(tmp_path, positional=positional)
    ids = torch.randint(3, 256, (1, 90), generator=torch.Generator().manual_seed(1))
    whole = engine.forward(ids, engine.cache([70]))
    assert_logits_equal(in_pieces(engine, engine.cache([70]), ids, [70]), whole)
    assert_logits_equal(in_pieces(engine, engine.cache([70]), ids, [33, 20, 9]), whole)


@pytest.mark.parametrize("name", METHODS)
def test_the_last_positions_before_131072_agree(name):
    """Random keys stand for the first 131040 tokens; the rest arrive at once, in chunks, and one by one."""
    engine = engine_of(METHODS[name].example)
    ids, before = ids_of(1, 32), 131040
    results = []
    for sizes in ([32], [5, 11], []):
        cache = engine.cache([131072])
        for tensors in (cache.storage.keys, cache.storage.values):
            for layer, tensor in enumerate(tensors):
                tensor.normal_(generator=torch.Generator().manual_seed(layer))
        cache.rows[0].length = before
        results.append(in_pieces(engine, cache, ids, sizes))
        assert cache.lengths == [131072]
    for result in results[1:]:
        assert_logits_equal(result, results[0])


@pytest.mark.parametrize("name", METHODS)
def test_rows_of_different_lengths_equal_single_rows(name):
    engine = engine_of(METHODS[name].example)
    lengths = [70, 9, 150, 70]
    prompts = [ids_of(1, length, seed) for seed, length in enumerate(lengths)]
    steps = ids_of(4, 20, seed=9)
    cache = engine.cache(lengths, budget=20)
    for row, prompt in enumerate(prompts):
        engine.forward(prompt, cache.select([row]))
    batched = in_pieces(engine, cache, steps, [])
    for row, prompt in enumerate(prompts):
        alone = engine.cache([lengths[row]], budget=20)
        engine.forward(prompt, alone)
        assert_logits_equal(batched[row : row + 1], in_pieces(engine, alone, steps[row : row + 1], []))


def test_a_subset_of_rows_goes_on_alone():
    engine = engine_of(METHODS["lampe"].example)
    cache = engine.cache([50, 50, 50])
    engine.forward(ids_of(3, 50), cache)
    step = ids_of(3, 1, seed=1)
    together = engine.forward(step, cache)
    cache.truncate(50)
    subset = engine.forward(step[[0, 2]], cache.select([0, 2]))
    assert_logits_equal(subset, together[[0, 2]])
    assert cache.lengths == [51, 50, 51]


def test_one_key_and_one_value_a_token_for_every_method():
    sizes = {engine.cache([100]).nbytes for engine in (engine_of(entry.example) for entry in METHODS.values())}
    layers, key_value_heads, head_dim, fp32 = 2, 2, 16, 4
    assert sizes == {100 * layers * 2 * key_value_heads * head_dim * fp32}


def test_a_full_cache_grows_and_a_truncated_one_forgets():
    engine = engine_of(METHODS["lampe"].example)
    ids = ids_of(1, 120)
    cache = engine.cache([60])
    whole = in_pieces(engine, cache, ids, [60])
    assert cache.storage.capacity < 150
    cache.truncate(80)
    assert_logits_equal(in_pieces(engine, cache, ids[:, 80:], [10]), whole[:, 80:])
    with pytest.raises(ValueError, match="cannot truncate a row of 120 tokens to 121"):
        cache.truncate(121)


def test_a_pass_that_fails_leaves_the_cache_as_it_was():
    engine = engine_of(METHODS["lampe"].example)
    cache = engine.cache([60])
    ids = ids_of(1, 60)
    engine.forward(ids, cache)
    with pytest.raises(IndexError):
        engine.forward(torch.tensor([[3, 64]]), cache)
    assert cache.lengths == [60]


def test_two_methods_on_the_same_weights_do_not_touch_each_other():
    one = engine_of(LaMPE(head=10, tail=8, span=30))
    other = Engine(one.model, METHODS["yarn"].example.bind(ROPE), one.backend)
    ids = ids_of(1, 120)
    expected = [engine.forward(ids, engine.cache([100])) for engine in (one, other)]
    caches = [engine.cache([100]) for engine in (one, other)]
    found: list[list[torch.Tensor]] = [[], []]
    for piece in ids.split(11, dim=1):
        for index, engine in enumerate((one, other)):
            found[index].append(engine.forward(piece, caches[index]))
    for parts, whole in zip(found, expected, strict=True):
        assert_logits_equal(torch.cat(parts, dim=1), whole)
    assert float((expected[0] - expected[1]).abs().max()) > 0.1


def test_ids_that_do_not_fit_the_cache_are_refused():
    engine = engine_of(METHODS["rope"].example)
    with pytest.raises(ValueError, match=r"ids \[2, 3\]: expected \[1, t\]"):
        engine.model(ids_of(2, 3), engine.cache([3]), engine.backend)
    with pytest.raises(ValueError, match="last = 4: logits exist for 0 to 3 new tokens"):
        engine.model(ids_of(1, 3), engine.cache([3]), engine.backend, last=4)
