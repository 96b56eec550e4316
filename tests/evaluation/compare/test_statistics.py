from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from scipy import stats

from lampe.errors import ConfigError
from lampe.evaluation import Passkey, Perplexity
from lampe.evaluation.compare import statistics
from lampe.evaluation.compare.statistics import Scores, difference, effective_length, estimate
from tests.evaluation.compare.records import record


def scores(trials: Sequence[Sequence[float]], task=Passkey) -> Scores:
    """The scores of some trials, the first trial being number 0."""
    return Scores(task, {(t, (("n", n),), "p"): s for t, row in enumerate(trials) for n, s in enumerate(row)})


def every_draw(trials: int, figure: Callable[[tuple[int, ...]], float]) -> list[float]:
    """The figure of each of the equally likely ways to draw that many trials from as many."""
    return sorted(figure(drawn) for drawn in itertools.product(range(trials), repeat=trials))


def mean_of(trials: Sequence[Sequence[float]], drawn: Sequence[int]) -> float:
    values = [value for trial in drawn for value in trials[trial]]
    return math.fsum(values) / len(values)


def tail_of(*contexts: int) -> float:
    """The share of draws that lies beyond each end of an interval, by Hesterberg (2015)."""
    student = stats.t.ppf(0.975, sum(contexts) - len(contexts))
    return float(stats.norm.cdf(-student * max(n / (n - 1) for n in contexts) ** 0.5))


def is_quantile(value: float, of: list[float], fraction: float, off: float = 0.012) -> bool:
    """Whether a value is that quantile of a distribution, within what draws of it tell (`off`: as 2,000 do)."""
    below = sum(other < value - 1e-9 for other in of) / len(of)
    up_to = sum(other < value + 1e-9 for other in of) / len(of)
    return below - off <= fraction <= up_to + off


def test_a_figure_is_the_mean_and_its_interval_draws_whole_trials():
    trials = [[1, 0, 1], [0], [1, 1], [0, 0], [1, 0, 0], [1]]
    found = estimate([scores(trials)], resamples=20000)
    assert found.figure == pytest.approx(6 / 12)
    assert (found.samples, found.contexts) == (12, 6)
    draws = every_draw(6, lambda drawn: mean_of(trials, drawn))
    assert is_quantile(found.low, draws, tail_of(6), off=0.003)
    assert is_quantile(found.high, draws, 1 - tail_of(6), off=0.003)
    # The plain percentiles are those of a narrower interval.
    assert not is_quantile(found.low, draws, 0.025, off=0.003)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 9, 19, 120])
def test_the_quantiles_are_students(freedom):
    assert statistics._student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=4e-3)
    assert statistics._tail([freedom + 1]) == pytest.approx(tail_of(freedom + 1), rel=0.02, abs=1e-9)


def test_with_three_trials_the_interval_goes_from_the_worst_to_the_best():
    # Each of the two is drawn three times in one of 27 ways, which is more than 2.5 %.
    found = estimate([scores([[0.25], [0.5], [0.9]])])
    assert (found.low, found.high) == (pytest.approx(0.25), pytest.approx(0.9))


def test_perplexities_are_drawn_as_perplexities():
    trials = [[2.0, 2.2], [2.5, 3.0], [1.0, 1.5], [2.1, 2.3]]
    found = estimate([scores(trials, Perplexity)])
    assert found.figure == pytest.approx(math.exp(16.6 / 8))
    draws = every_draw(4, lambda drawn: math.exp(mean_of(trials, drawn)))
    assert (found.low, found.high) == (pytest.approx(draws[0]), pytest.approx(draws[-1]))


def test_a_difference_is_that_of_figures_over_the_samples_that_both_have():
    mine = {(0, (), "a"): 2.0, (1, (), "b"): 2.5, (2, (), "c"): 1.0, (3, (), "only mine"): 9.0}
    theirs = {(0, (), "a"): 2.4, (1, (), "b"): 2.2, (2, (), "c"): 3.0, (3, (), "only theirs"): 0.1}
    found = difference([Scores(Perplexity, mine)], [Scores(Perplexity, theirs)])
    assert found is not None
    assert (found.samples, found.contexts) == (3, 3)
    assert found.figure == pytest.approx(math.exp(5.5 / 3) - math.exp(7.6 / 3))
    a, b = [[2.0], [2.5], [1.0]], [[2.4], [2.2], [3.0]]
    draws = every_draw(3, lambda drawn: math.exp(mean_of(a, drawn)) - math.exp(mean_of(b, drawn)))
    assert (found.low, found.high) == (pytest.approx(draws[0]), pytest.approx(draws[-1]))
    assert found.low == pytest.approx(math.exp(1) - math.exp(3))


@pytest.mark.parametrize("other", [(1, (), "p"), (0, (("n", 2),), "p"), (0, (), "q")])
def test_samples_are_the_same_only_in_trial_facts_and_prompt(other):
    assert difference([Scores(Passkey, {(0, (), "p"): 1.0})], [Scores(Passkey, {other: 1.0})]) is None


def test_what_is_hard_for_both_cancels_out():
    hard = [[0.1 * trial] for trial in range(10)]
    harder = [[value - 0.25 for value in row] for row in hard]
    alone, apart = estimate([scores(hard)]), difference([scores(hard)], [scores(harder)])
    assert alone.high - alone.low > 0.3
    assert (apart.low, apart.figure, apart.high) == (pytest.approx(0.25), pytest.approx(0.25), pytest.approx(0.25))


def test_a_suite_is_the_mean_of_figures_and_each_task_draws_its_own_trials():
    first, second = [[0.0], [0.1], [0.5]], [[0.0, 0.0], [0.2, 0.0], [1.0, 0.0]]
    found = estimate([scores(first), scores(second)])
    assert found.figure == pytest.approx((0.2 + 0.2) / 2)
    assert (found.samples, found.contexts) == (9, 6)
    one = every_draw(3, lambda drawn: mean_of(first, drawn))
    other = every_draw(3, lambda drawn: mean_of(second, drawn))
    both = sorted((a + b) / 2 for a, b in itertools.product(one, other))
    assert is_quantile(found.low, both, tail_of(3, 3))
    assert is_quantile(found.high, both, 1 - tail_of(3, 3))


def test_a_suite_is_compared_task_by_task():
    mine, theirs = [scores([[1.0], [1.0]]), scores([[0.5], [0.5]])], [scores([[0.0], [0.0]]), scores([[0.25], [0.25]])]
    found = difference(mine, theirs)
    assert found is not None
    assert (found.figure, found.low, found.high, found.samples) == (0.625, 0.625, 0.625, 4)
    assert difference(mine, [theirs[0], Scores(Passkey, {(7, (), ""): 1.0})]) is None


def test_a_figure_may_be_a_static_method():
    class Doubled(Passkey):
        @staticmethod
        def figure(mean: float) -> float:
            return 2 * mean

    plain, doubled = (estimate([scores([[0.1], [0.2], [0.4]], task)]) for task in (Passkey, Doubled))
    assert doubled.figure == 2 * plain.figure
    assert (doubled.low, doubled.high) == (pytest.approx(2 * plain.low), pytest.approx(2 * plain.high))


def test_one_context_has_no_interval():
    found = estimate([scores([[1, 0, 1, 1]])])
    assert (found.figure, found.low, found.high, found.samples, found.contexts) == (0.75, None, None, 4, 1)
    assert not found.excludes_zero
    assert estimate([scores([[1], [0]]), scores([[1, 0]])]).low is None


@pytest.mark.parametrize("task", [Passkey, Perplexity])
def test_a_score_that_is_no_number_does_not_vanish(task):
    group = scores([[1.0], [math.nan], [0.5]], task)
    found = estimate([group])
    assert (math.isnan(found.figure), found.low, found.high) == (True, None, None)
    assert (found.samples, group.nonfinite) == (3, 1)
    found = estimate([scores([[1.0], [math.inf], [0.5]], task)])
    assert (found.figure, found.low, found.high) == (math.inf, None, None)
    apart = difference([group], [scores([[1.0], [1.0], [1.0]], task)])
    assert (math.isnan(apart.figure), apart.low, apart.excludes_zero) == (True, None, False)


def test_an_interval_may_end_at_infinity():
    # The mean loss is 401; draws of it go beyond 700, where the exponential has no number.
    found = estimate([scores([[2.0], [1000.0], [201.0]], Perplexity)])
    assert math.isfinite(found.figure)
    assert (found.low, found.high) == (pytest.approx(math.exp(2)), math.inf)


def test_five_contexts_are_too_few_to_tell_zero_apart():
    five, six = (difference([scores([[1.0]] * n)], [scores([[0.0]] * n)]) for n in (5, 6))
    assert (five.low, six.low) == (1.0, 1.0)
    assert (five.excludes_zero, six.excludes_zero) == (False, True)


@pytest.mark.parametrize(
    ("tasks", "contexts", "told_apart"), [(3, 2, False), (13, 2, False), (2, 3, False), (3, 3, True)]
)
def test_a_suite_needs_three_contexts_of_each_task(tasks, contexts, told_apart):
    apart = difference([scores([[1.0]] * contexts)] * tasks, [scores([[0.0]] * contexts)] * tasks)
    assert (apart.low, apart.contexts, apart.excludes_zero) == (1.0, tasks * contexts, told_apart)


@pytest.mark.parametrize("tasks", [(6,), (3, 3, 3)])
def test_by_chance_about_one_comparison_in_twenty_is_called_a_difference(tasks):
    generator = torch.Generator().manual_seed(5)
    nothing = 0
    for _ in range(400):
        groups = [scores(torch.randn(n, 1, generator=generator).tolist()) for n in tasks]
        nothing += difference(groups, [scores([[0.0]] * n) for n in tasks], resamples=500).excludes_zero
    assert nothing / 400 < 0.1


def test_the_interval_covers_the_truth_as_often_as_it_says_if_trials_are_drawn():
    generator = torch.Generator().manual_seed(3)
    runs, trials, samples = 300, 20, 4
    covered = ignoring = 0
    for _ in range(runs):
        context = torch.randn(trials, 1, generator=generator)
        values = (context + torch.randn(trials, samples, generator=generator)).tolist()
        found = estimate([scores(values)], resamples=500)
        covered += found.low <= 0 <= found.high
        found = estimate([scores([[value] for row in values for value in row])], resamples=500)
        ignoring += found.low <= 0 <= found.high
    assert 0.89 <= covered / runs <= 0.98
    # What the interval would be worth if samples of one context counted as independent.
    assert ignoring / runs < 0.85


def test_a_report_can_be_made_again_and_leaves_chance_and_threads_alone():
    group = scores([[0.1 * t, 0.05 * t] for t in range(12)])
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    found = estimate([group])
    assert estimate([group]) == found
    assert estimate([group], seed=1) != found
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_a_sample_is_measured_once():
    twice = [record("passkey", "RoPE", 4096, score, trial=3, depth=0.5) for score in (0.0, 1.0)]
    with pytest.raises(ConfigError) as error:
        Scores.of(twice)
    assert str(error.value) == (
        "results: task 'passkey' under 'RoPE' at 4096 tokens has two scores of one sample (trial 3, facts "
        "{'depth': 0.5}); one would be accepted"
    )


def test_the_effective_length_is_the_longest_above_the_threshold():
    assert effective_length({4096: 0.9, 8192: 0.857, 16384: 0.856}, 0.856) == 8192
    assert effective_length({4096: 0.8, 8192: 0.9}, 0.856) == 8192
    assert effective_length({4096: 0.5, 8192: math.nan}, 0.856) is None
