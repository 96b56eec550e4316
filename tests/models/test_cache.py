"""Prefill, chunked prefill and decoding agree, for every method and family; batch rows equal single rows."""

from __future__ import annotations

import pytest
import torch

from lampe.generation import Engine
from lampe.positional import LaMPE
from lampe.testing import CASES, ROPE
from lampe.testing.decoding import in_pieces
from lampe.testing.decoding import tokens as ids_of
from tests.checkpoints import VARIANTS, make
from tests.engines import assert_logits_equal, engine_of, load

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

LAMPE = {"kind": "lampe", "head": 10, "tail": 8, "span": 30}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("positional", [None, LAMPE])
def test_every_family_agrees_with_itself(name, positional, tmp_path):
    make(name, tmp_path)
    engine = load(tmp_path, positional=positional)
    ids = torch.randint(3, 256, (1, 90), generator=torch.Generator().manual_seed(1))
    whole = engine.forward(ids, engine.cache([70]))
    assert_logits_equal(in_pieces(engine, engine.cache([70]), ids, [70]), whole)
    assert_logits_equal(in_pieces(engine, engine.cache([70]), ids, [33, 20, 9]), whole)


@pytest.mark.parametrize("name", CASES)
def test_a_window_of_the_method_is_one_of_every_layer(name):
    """A layer keeps its own window where that is smaller."""
    ids = ids_of(1, 90)
    method = CASES[name].example
    windowed = type(method)(method.config.model_copy(update={"sliding_window": 20}))
    for own, expected in (((), (20, 20)), ((7, None), (7, 20))):
        found, wanted = engine_of(windowed, windows=own), engine_of(method, windows=expected)
        assert_logits_equal(in_pieces(found, found.cache([70]), ids, [40, 40]), wanted.forward(ids, wanted.cache([70])))


def test_a_subset_of_rows_goes_on_alone():
    engine = engine_of(CASES["lampe"].example)
    cache = engine.cache([50, 50, 50])
    engine.forward(ids_of(3, 50), cache)
    step = ids_of(3, 1, seed=1)
    together = engine.forward(step, cache)
    cache.truncate(50)
    subset = engine.forward(step[[0, 2]], cache.select([0, 2]))
    assert_logits_equal(subset, together[[0, 2]])
    assert cache.lengths == [51, 50, 51]


def test_one_key_and_one_value_a_token_for_every_method():
    sizes = {engine.cache([100]).nbytes for engine in (engine_of(entry.example) for entry in CASES.values())}
    layers, key_value_heads, head_dim, fp32 = 2, 2, 16, 4
    assert sizes == {100 * layers * 2 * key_value_heads * head_dim * fp32}


def test_a_full_cache_grows_and_a_truncated_one_forgets():
    engine = engine_of(CASES["lampe"].example)
    ids = ids_of(1, 120)
    cache = engine.cache([60])
    whole = in_pieces(engine, cache, ids, [60])
    assert cache.storage.capacity < 150
    cache.truncate(80)
    assert_logits_equal(in_pieces(engine, cache, ids[:, 80:], [10]), whole[:, 80:])
    with pytest.raises(ValueError, match="cannot truncate a row of 120 tokens to 121"):
        cache.truncate(121)


def test_a_pass_that_fails_leaves_the_cache_as_it_was():
    engine = engine_of(CASES["lampe"].example)
    cache = engine.cache([60])
    ids = ids_of(1, 60)
    engine.forward(ids, cache)
    with pytest.raises(IndexError):
        engine.forward(torch.tensor([[3, 64]]), cache)
    assert cache.lengths == [60]


def test_two_methods_on_the_same_weights_do_not_touch_each_other():
    one = engine_of(LaMPE(head=10, tail=8, span=30))
    other = Engine(one.model, CASES["yarn"].example.bind(ROPE), one.backend)
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
    engine = engine_of(CASES["rope"].example)
    with pytest.raises(ValueError, match=r"ids \[2, 3\]: expected \[1, t\]"):
        engine.model(ids_of(2, 3), engine.cache([3]), engine.backend)
    with pytest.raises(ValueError, match="last = 4: logits exist for 0 to 3 new tokens"):
        engine.model(ids_of(1, 3), engine.cache([3]), engine.backend, last=4)
