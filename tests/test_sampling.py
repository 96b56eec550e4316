"""Sampling against transformers' own processors, and what a seed promises."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lampe.errors import ConfigError
from lampe.registry import validate
from lampe.sampling import Sampler, Sampling, filtered, penalise


def logits_of(seed: int, size: int = 50) -> torch.Tensor:
    return 3 * torch.randn(size, generator=torch.Generator().manual_seed(seed))


@given(
    seed=st.integers(0, 10**6),
    temperature=st.floats(0.1, 3),
    top_k=st.none() | st.integers(1, 60),
    # Nearer to 1 than fp32 sums are exact, the two sum from different ends and may part over the last tokens.
    top_p=st.none() | st.floats(0.01, 0.999) | st.just(1.0),
    min_p=st.none() | st.floats(0, 1),
)
def test_filters_equal_those_of_transformers(seed, temperature, top_k, top_p, min_p):
    logits = logits_of(seed)
    expected = TemperatureLogitsWarper(temperature)(None, logits[None])
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None and top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    if min_p is not None:
        expected = MinPLogitsWarper(min_p)(None, expected)
    found = filtered(logits, Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p))
    torch.testing.assert_close(found, expected[0])


@given(seed=st.integers(0, 10**6), penalty=st.floats(0.5, 2), seen=st.lists(st.integers(0, 49), min_size=1))
def test_the_repetition_penalty_equals_that_of_transformers(seed, penalty, seen):
    logits = logits_of(seed)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([seen]), logits[None].clone())
    torch.testing.assert_close(penalise(logits, set(seen), penalty), expected[0])


def test_the_penalty_counts_prompt_and_answer():
    logits = torch.tensor([1.0, 0.9, 0.8, -5.0])
    sampler = Sampler(Sampling(repetition_penalty=2.0), [0])
    assert [sampler.choose(logits) for _ in range(3)] == [1, 2, 0]


def test_the_penalty_skips_ids_that_have_no_logit():
    logits = torch.tensor([1.0, 0.9, 0.8])
    torch.testing.assert_close(penalise(logits, {0, 7}, 2.0), torch.tensor([0.5, 0.9, 0.8]))


def test_a_temperature_next_to_nothing_takes_the_most_likely_token():
    sampler = Sampler(Sampling(temperature=1e-40, seed=0), [])
    assert [sampler.choose(logits_of(seed)) for seed in range(5)] == [int(logits_of(s).argmax()) for s in range(5)]


def test_a_seed_repeats_and_another_differs():
    def draw(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(temperature=2.0, seed=seed), [])
        return [sampler.choose(logits_of(0)) for _ in range(20)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_draws_follow_the_probabilities():
    sampler = Sampler(Sampling(temperature=1.0, seed=0), [])
    logits = torch.tensor([0.7, 0.2, 0.1]).log()
    draws = torch.tensor([sampler.choose(logits) for _ in range(4000)])
    assert (draws.bincount() / 4000).tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": -1}, "generate: temperature = -1: input should be greater than or equal to 0"),
        ({"top_p": 1.5}, "generate: top_p = 1.5: input should be less than or equal to 1"),
        ({"max_tokens": 5}, r"generate: unknown field 'max_tokens' \(did you mean 'max_new_tokens'\?\)"),
        ({"temperature": float("inf")}, "temperature = inf: input should be a finite number"),
        ({"seed": 2**64}, "seed = 18446744073709551616: input should be less than"),
        ({"stop": ["", "x"]}, r"stop\.0 = '': string should have at least 1 character"),
        ({"max_new_tokens": 0}, "max_new_tokens = 0: input should be greater than or equal to 1"),
    ],
)
def test_bad_settings_get_one_sentence(fields, message):
    with pytest.raises(ConfigError, match=message):
        validate(Sampling, fields, "generate")
