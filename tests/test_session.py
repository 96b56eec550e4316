"""Sessions: prompts that go on from one another, and what rotating the cached keys is worth."""

from __future__ import annotations

import pytest
import torch

from lampe.attention import AttentionBackend, ChunkedAttention, DenseAttention
from lampe.generation import Engine
from lampe.positional import LaMPE, PositionalEncoding, RoPE, SelfExtend, YaRN
from lampe.sampling import Sampling
from lampe.session import Session, shared_prefix
from lampe.testing import CASES, ROPE
from lampe.testing.decoding import engine, small_model, tokens

pytestmark = [
    pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning"),
    pytest.mark.filterwarnings("ignore::lampe.positional.lampe.ProfileWarning"),
]

AUTO_SPAN = LaMPE(head=8, tail=4)


def running(method: PositionalEncoding, *, layers: int = 2, backend: AttentionBackend | None = None) -> Engine:
    model = small_model(layers=layers)
    return Engine(model, method.bind(ROPE), backend or ChunkedAttention(), 37)


def fresh(engine: Engine, ids: list[int], last: int = 1) -> torch.Tensor:
    return engine.forward(torch.tensor([ids]), engine.cache([len(ids)]), last=last)[0]


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", CASES)
def test_with_one_layer_a_second_turn_equals_a_fresh_prefill(name):
    """The first layer's keys and values know no positions, so there rotating the difference is all there is to do."""
    one = running(CASES[name].example, layers=1)
    ids = tokens(1, 260)[0].tolist()
    session = Session(one)
    for length in (90, 91, 140, 260, 200):
        assert_close(session.logits(ids[:length], last=20), fresh(one, ids[:length], last=20))


def test_replanning_is_not_idle():
    one, other = (running(LaMPE(head=8, tail=4, span=span), layers=1) for span in (40, 60))
    ids = tokens(1, 200)[0].tolist()
    assert (fresh(one, ids) - fresh(other, ids)).abs().max() > 1e-2


@pytest.mark.parametrize("method", [AUTO_SPAN, SelfExtend(group=4, window=16), YaRN(factor=4)])
def test_the_second_turn_reads_cached_keys_as_the_oracle_does(method):
    """Two layers: what the first turn computed under its plan stays, whoever computes the second."""
    ids = tokens(1, 230)[0].tolist()
    results = []
    for backend in (ChunkedAttention(), DenseAttention()):
        session = Session(running(method, backend=backend))
        session.logits(ids[:120])
        results.append(session.logits(ids, last=30))
    assert_close(*results)


def test_an_exact_session_reads_again_only_where_plans_disagree(computed):
    ids = tokens(1, 200)[0].tolist()
    for method, expected in ((RoPE(), 80), (SelfExtend(group=4, window=16), 80), (AUTO_SPAN, 200)):
        session = Session(running(method), exact=True)
        session.logits(ids[:120])
        computed.clear()
        found = session.logits(ids, last=5)
        assert sum(computed) == expected
        assert_close(found, fresh(session.engine, ids, last=5))


def test_only_what_is_new_is_read(computed):
    """The answer is held too, as far as it was run: all of it but its last token."""
    session = Session(running(AUTO_SPAN))
    ids = tokens(1, 200)[0].tolist()
    answer = [piece.token for piece in session.generate(ids[:150], Sampling(max_new_tokens=9))]
    assert session.ids == [*ids[:150], *answer[:-1]]
    computed.clear()
    list(session.generate([*ids[:150], *answer, *ids[150:]], Sampling(max_new_tokens=1)))
    assert sum(computed) == 51
    computed.clear()
    list(session.generate(ids[:100], Sampling(max_new_tokens=1)))
    assert computed == [1]


def test_answers_of_a_session_are_those_of_whole_prompts():
    """Under RoPE nothing is replanned; the repetition penalty counts what was read before."""
    one = running(RoPE())
    rules = Sampling(max_new_tokens=12, repetition_penalty=1.7)
    ids = tokens(1, 90)[0].tolist()
    session = Session(one)
    for length in (50, 60, 90):
        held = [piece.token for piece in session.generate(ids[:length], rules)]
        assert held == [piece.token for piece in Session(one).generate(ids[:length], rules)]


def test_a_turn_that_is_broken_off_keeps_what_was_run(computed):
    session = Session(running(AUTO_SPAN))
    ids = tokens(1, 160)[0].tolist()
    pieces = session.generate(ids[:120], Sampling(max_new_tokens=30))
    answer = [next(pieces).token for _ in range(5)]
    pieces.close()
    assert session.ids == [*ids[:120], *answer[:4]]
    computed.clear()
    session.logits([*ids[:120], *answer])
    assert computed == [1]


def test_an_answer_ends_where_the_session_goes_on():
    session = Session(running(AUTO_SPAN))
    ids = tokens(1, 160)[0].tolist()
    former = session.generate(ids[:120], Sampling(max_new_tokens=30))
    next(former)
    expected = session.logits(ids)
    with pytest.raises(RuntimeError, match="gone on to another prompt"):
        next(former)
    assert session.ids == ids
    assert_close(session.logits(ids), expected)


def test_keys_that_an_interrupt_may_have_left_half_moved_are_not_used(computed):
    session = Session(running(AUTO_SPAN))
    ids = tokens(1, 160)[0].tolist()
    session.logits(ids[:120])
    session._cache.rows[0].layout = None
    with pytest.raises(RuntimeError, match="interrupted while it moved cached keys; begin with a new cache"):
        session.engine.forward(torch.tensor([[1]]), session._cache)
    computed.clear()
    assert_close(session.logits(ids), fresh(session.engine, ids))
    assert sum(computed[:5]) == 160


def test_bad_prompts_are_refused_and_nothing_is_lost():
    session = Session(engine(RoPE(), ChunkedAttention()))
    session.logits([1, 2, 3])
    with pytest.raises(ValueError, match="the prompt is empty: a prompt needs at least one token"):
        session.logits([])
    with pytest.raises(ValueError, match="token id 64: the vocabulary has ids 0 to 63"):
        next(session.generate([1, 64], Sampling()))
    with pytest.raises(ValueError, match="last = 4: expected 1 to 2, the tokens of the prompt"):
        session.logits([1, 2], last=4)
    assert session.ids == [1, 2, 3]
    session.forget()
    assert session.ids == []


def test_shared_prefix():
    assert [shared_prefix(a, b) for a, b in (("", "a"), ("ab", "ab"), ("abc", "abd"), ("ab", "abc"))] == [0, 2, 2, 2]
