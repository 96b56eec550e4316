from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampe.config import ModelConfig, RopeConfig
from lampe.evaluation import Budget, Work, pair_cost, run_blocks
from lampe.evaluation.base import Sample

RATIO = 3e-4


class Clock:
    """Time that passes only when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeRunner:
    """Takes a * tokens + b * pairs seconds for a sample, of which it always computes all tokens."""

    def __init__(self, label: str, clock: Clock, a: float, ratio: float):
        self.label, self.clock, self.a, self.ratio = label, clock, a, ratio
        self.done: list[int] = []

    def run(self, sample: Sample):
        work = Work.between(0, len(sample.ids))
        seconds = self.a * (work.tokens + self.ratio * work.pairs)
        self.clock.now += seconds
        self.done.append(sample.length)
        return type("Record", (), {"seconds": seconds, "label": self.label, "length": sample.length})

    def forget(self) -> None:
        pass


def sample(length: int, trial: int = 0) -> Sample:
    # Samples that share no token, so that the work of one is that of its length.
    return Sample(None, length, trial, tuple(range(trial * 10**6, trial * 10**6 + length)), {"length": length})


def test_work_is_tokens_and_pairs():
    assert Work.between(0, 4) == (4, 8, 0)
    assert Work.between(3, 4, 5) == (1, 3.5, 5)
    whole = [Work.between(0, 10), Work.between(10, 30)]
    assert tuple(map(sum, zip(*whole, strict=True))) == Work.between(0, 30)


def test_one_size_predicts_others_by_the_ratio_of_the_arithmetic():
    budget = Budget(None, RATIO, clock=Clock())
    work = Work.between(0, 2048)
    budget.observe("x", work, 0.002 * (work.tokens + RATIO * work.pairs))
    long = Work.between(0, 16384)
    assert budget.predict([("x", long)]) == pytest.approx(0.002 * (long.tokens + RATIO * long.pairs), rel=1e-6)


def test_two_sizes_override_the_ratio():
    budget = Budget(None, RATIO, clock=Clock())
    for length in (2048, 16384):
        work = Work.between(0, length)
        budget.observe("x", work, 0.003 * (work.tokens + RATIO / 4 * work.pairs))
    long = Work.between(0, 12288)
    assert budget.predict([("x", long)]) == pytest.approx(0.003 * (long.tokens + RATIO / 4 * long.pairs), rel=0.1)


def test_making_tokens_is_told_apart_from_reading_them():
    budget = Budget(None, RATIO, clock=Clock())
    read, answer = Work.between(0, 8000), Work.between(7900, 8000, 10)
    budget.observe("x", read, 8.0)
    assert budget.predict([("x", answer)]) == pytest.approx(8 * (100 + 0.5 * RATIO * (8000**2 - 7900**2) + 200) / 17600)
    budget.observe("x", answer, 5.0)
    assert budget.predict([("x", answer)]) == pytest.approx(5.0, rel=0.2)
    assert budget.predict([("x", read)]) == pytest.approx(8.0, rel=0.1)


def test_noise_never_makes_a_prediction_negative():
    budget = Budget(None, RATIO, clock=Clock())
    budget.observe("x", Work.between(0, 1000), 10.0)
    budget.observe("x", Work.between(0, 1100), 1.0)
    assert budget.predict([("x", Work.between(0, 10))]) > 0
    assert budget.predict([("x", Work.between(0, 100_000))]) > 100


def test_a_method_not_seen_is_as_slow_as_the_slowest():
    budget = Budget(None, RATIO, clock=Clock())
    work = Work.between(0, 100)
    assert budget.predict([("new", work)]) == 0
    budget.observe("fast", work, 1.0)
    budget.observe("slow", work, 3.0)
    assert budget.predict([("new", work), ("fast", work)]) == pytest.approx(4.0)


def test_what_is_left_decides():
    clock = Clock()
    budget = Budget(10.0, RATIO, clock=clock)
    work = Work.between(0, 100)
    budget.observe("x", work, 3.0)
    assert budget.admits([("x", work)] * 3)
    clock.now += 0.2
    assert not budget.admits([("x", work)] * 3)
    assert budget.admits([("x", work)] * 2)
    clock.now += 9.8
    assert (budget.elapsed, budget.left) == (10.0, 0.0)
    assert not budget.admits([("x", work)])
    assert Budget(None, RATIO, clock=clock).admits([("x", work)] * 1000)


def test_a_block_is_run_for_all_methods_or_not_at_all():
    clock = Clock()
    runners = [FakeRunner(label, clock, 0.001, RATIO) for label in "ab"]
    blocks = [[sample(1000)], [sample(8000)], [sample(2000)], [sample(1000, 1), sample(1000, 2)]]
    # 1000 tokens take 1.15 s, 2000 take 2.6 s and 8000 take 17.6 s, for each of two methods.
    records = list(run_blocks(runners, blocks, budget=Budget(13.5, RATIO, clock=clock)))
    assert [(record.label, record.length) for record in records] == [
        *(("a", 1000), ("b", 1000), ("a", 2000), ("b", 2000)),
        *(("a", 1000), ("b", 1000), ("a", 1000), ("b", 1000)),
    ]


def test_a_block_that_turns_out_slower_is_ended_early():
    clock = Clock()
    runners = [FakeRunner("a", clock, 0.001, RATIO), FakeRunner("b", clock, 0.01, RATIO)]
    blocks = [[sample(1000)], [sample(900)], [sample(10)]]
    records = list(run_blocks(runners, blocks, budget=Budget(20, RATIO, clock=clock)))
    assert [(record.label, record.length) for record in records] == [("a", 1000), ("b", 1000), ("a", 10), ("b", 10)]


@given(
    speeds=st.lists(st.floats(1e-4, 1e-2), min_size=1, max_size=3),
    share=st.floats(0.1, 1),
    seconds=st.floats(30, 600),
    lengths=st.lists(st.integers(100, 16384), min_size=1, max_size=12),
)
def test_nothing_is_begun_that_would_overrun(speeds, share, seconds, lengths):
    clock = Clock()
    runners = [FakeRunner(str(index), clock, a, RATIO * share) for index, a in enumerate(speeds)]
    # The first block teaches the speed of every method; it takes 1.3 s at most for each.
    blocks = [[sample(100)], *([sample(length, trial)] for trial, length in enumerate(lengths, start=1))]
    records = list(run_blocks(runners, blocks, budget=Budget(seconds, RATIO, clock=clock)))
    assert clock.now - 100 <= seconds
    assert len(records) >= len(speeds)
    assert len({len(runner.done) for runner in runners}) == 1


def test_the_cost_of_a_pair_follows_from_the_shape():
    rope = RopeConfig(dim=64, max_position=8192, original_window=8192)
    config = ModelConfig(
        kind="llama",
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        n_layers=30,
        n_heads=9,
        n_kv_heads=3,
        head_dim=64,
        rope=rope,
    )
    # Per layer 4 * 9 * 64 operations a pair, and two for each of 3,538,944 weights a token.
    assert pair_cost(config) == pytest.approx(4 * 9 * 64 / (2 * 3_538_944))
