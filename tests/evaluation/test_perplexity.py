from __future__ import annotations

import math

import pytest
import torch

from lampe.errors import ConfigError
from lampe.evaluation import Perplexity, Runner, evaluate

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

LAMPE = {"kind": "lampe", "head": 16, "tail": 8, "span": 64}


def test_losses_equal_those_of_transformers(tiny, text):
    llm, reference = tiny
    task = Perplexity(text=text, tokens=40, places=3)
    runner = Runner(llm, "rope")
    for sample in task.samples(llm.tokenizer, (41, 100, 230)):
        ids = torch.tensor([sample.ids])
        with torch.no_grad():
            logits = reference(ids).logits[0].double()
        scored = [-logits[t - 1].log_softmax(-1)[sample.ids[t]] for t in range(len(sample.ids) - 40, len(sample.ids))]
        expected = float(sum(scored) / 40)
        assert len(sample.ids) == sample.length
        assert runner.run(sample).score == pytest.approx(expected, rel=2e-6)


def test_every_context_has_a_plan_for_its_own_length(tiny, text):
    llm = tiny[0].with_positional(LAMPE)
    task = Perplexity(text=text, tokens=20, places=1)
    scores = []
    for record in evaluate(tiny[0], {"LaMPE": LAMPE}, task, (60, 200, 240)):
        ids = next(s.ids for s in task.samples(llm.tokenizer, (60, 200, 240)) if s.length == record.length)
        losses = -llm.logits([ids])[0].double().log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])
        assert record.score == pytest.approx(float(losses[-20:].mean()), rel=2e-6)
        scores.append(record.score)
    assert len(set(scores)) == 3


def test_the_same_tokens_are_scored_at_every_length(tiny, text):
    samples = list(Perplexity(text=text, tokens=20, places=2).samples(tiny[0].tokenizer, (40, 90)))
    assert [(s.trial, s.length) for s in samples] == [(0, 40), (0, 90), (1, 40), (1, 90)]
    assert samples[0].ids == samples[1].ids[-40:]
    assert samples[2].ids == samples[3].ids[-40:] != samples[0].ids
    assert samples[0].facts == {"document": "river.txt", "place": 0, "end": samples[1].facts["end"]}


def test_the_figure_is_the_exponential_of_the_mean_loss():
    assert Perplexity.aggregate([math.log(4), math.log(9)]) == pytest.approx(6)
    assert Perplexity.aggregate([800.0]) == math.inf
    shown = [Perplexity.show([math.log(value)]) for value in (8.414, 99.99, 1234.4, 2.5e7)]
    assert shown == ["8.41", "99.99", "1,234", "2.5e+07"]


def test_a_context_no_longer_than_what_is_scored(tiny, text):
    with pytest.raises(ConfigError) as error:
        list(Perplexity(text=text).samples(tiny[0].tokenizer, (512, 256)))
    assert str(error.value) == (
        "task 'perplexity': a context of 256 tokens is too short to score the last 256; it needs at least 257"
    )


def test_an_unknown_field_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown field 'token' \(did you mean 'tokens'\?\)"):
        Perplexity(token=3)


def test_a_text_or_several_are_kept_as_they_were_written():
    assert [Perplexity(text=text).config.model_dump(mode="json")["text"] for text in (None, "a", ("a", "b"))] == [
        None,
        "a",
        ["a", "b"],
    ]
    with pytest.raises(ConfigError, match=r"task 'perplexity': text = \(\): "):
        Perplexity(text=())
