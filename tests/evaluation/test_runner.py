from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import torch

from lampe.errors import ConfigError, TokenizerError
from lampe.evaluation import Passkey, Perplexity, Record, Runner, evaluate, run_blocks
from lampe.evaluation.base import Outcome
from lampe.evaluation.runner import block_work
from lampe.llm import LLM
from lampe.models.transformer import Transformer

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

LAMPE = {"kind": "lampe", "head": 16, "tail": 8, "span": 64}
METHODS = {"RoPE": "rope", "YaRN": {"kind": "yarn", "factor": 4}, "LaMPE": LAMPE}


@pytest.mark.parametrize(
    "spec", [*METHODS.values(), {**LAMPE, "length": "total"}, {"kind": "dynamic-ntk", "factor": 2, "length": "total"}]
)
def test_shared_prefixes_change_no_answer(tiny, text, spec, computed):
    llm = tiny[0].with_positional(spec)
    runner = Runner(llm, "x")
    samples = list(Passkey(text=text, places=1, keys=2).samples(llm.tokenizer, (400,)))
    fresh = [llm.generate(sample.ids, max_new_tokens=12) for sample in samples]
    assert len({tuple(answer) for answer in fresh}) > 1
    computed.clear()
    assert [runner.generate(sample.ids, 12, shared=sample.shared) for sample in samples] == fresh
    prompts = sum(n for n in computed if n > 1)
    assert prompts == sum(work.tokens for work in block_work(samples))
    assert prompts < 0.85 * 6 * 400


@pytest.mark.parametrize("spec", METHODS.values())
def test_shared_prefixes_give_the_logits_of_separate_prompts(tiny, text, spec):
    llm = tiny[0].with_positional(spec)
    runner = Runner(llm, "x")
    (context,) = Perplexity(text=text, tokens=40, places=1).samples(llm.tokenizer, (400,))
    prompts = Passkey(text=text, places=1, keys=1, depths=(0.9, 0.1)).samples(llm.tokenizer, (400,))
    for sample in (context, *prompts, context):
        expected = llm.logits([sample.ids], last=7)[0]
        for shared in (0, 40, 40, 399):
            got = runner.logits(sample.ids, last=7, shared=shared)
            assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("spec", METHODS.values())
def test_a_score_does_not_depend_on_what_ran_before(tiny, text, spec):
    llm = tiny[0].with_positional(spec)
    samples = list(Passkey(text=text, places=1, keys=3, depths=(0.6,)).samples(llm.tokenizer, (400,)))
    one = Runner(llm, "x")
    logits = [one.logits(sample.ids, last=5, shared=sample.shared) for sample in samples]
    for sample, expected in reversed(list(zip(samples, logits, strict=True))):
        one.generate(sample.ids, 20, shared=sample.shared)
        assert one.logits(sample.ids, last=5, shared=sample.shared).equal(expected)
        assert Runner(llm, "x").logits(sample.ids, last=5, shared=sample.shared).equal(expected)


def test_records_carry_the_fingerprint_of_the_checkpoint_a_model_was_loaded_from(tiny, text):
    llm = tiny[0]
    origin = llm.config.rope.origin
    assert len(origin.fingerprint) == 64
    assert Runner(llm, "x").setting.fingerprint == origin.fingerprint
    (record,) = evaluate(llm, {"x": "rope"}, Perplexity(text=text, tokens=9, places=1), (60,))
    assert record.setting.fingerprint == origin.fingerprint
    by_hand = llm.config.model_copy(update={"rope": llm.config.rope.model_copy(update={"origin": None})})
    assert Runner(LLM(Transformer(by_hand), llm.tokenizer), "x").setting.fingerprint is None


def test_a_plan_for_another_length_shares_nothing(tiny, text, computed):
    llm = tiny[0].with_positional(LAMPE)
    runner = Runner(llm, "x")
    ids = next(iter(Perplexity(text=text, tokens=9, places=1).samples(llm.tokenizer, (300,)))).ids
    for length in (200, 300):
        computed.clear()
        logits = runner.logits(ids[:length], last=3, shared=150)
        assert sum(computed) == length
        assert torch.allclose(logits, llm.logits([ids[:length]], last=3)[0], atol=1e-4)


def test_a_run_that_failed_leaves_nothing_behind(tiny, text, monkeypatch):
    llm = tiny[0]
    runner = Runner(llm, "x")
    (sample,) = Perplexity(text=text, tokens=9, places=1).samples(llm.tokenizer, (300,))
    expected = llm.logits([sample.ids], last=3)
    passes = iter([True, False])
    forward = Transformer.forward

    def failing(self, *args, **kwargs):
        if not next(passes, True):
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(Transformer, "forward", failing)
    with pytest.raises(KeyboardInterrupt):
        runner.logits(sample.ids, last=3)
    assert torch.allclose(runner.logits(sample.ids, last=3), expected[0], atol=1e-4)


def test_records_carry_what_made_them(tiny, text):
    llm = tiny[0]
    task = Passkey(text=text, places=1, keys=1, depths=(0.5,), seed=3)
    (record,) = evaluate(llm, {"mine": LAMPE}, task, (300,), model="tiny")
    (sample,) = task.samples(llm.tokenizer, (300,))
    assert record.kind == "passkey"
    assert record.task["seed"] == 3
    assert record.setting.label == "mine"
    assert record.setting.positional["span"] == 64
    assert (record.setting.model, record.setting.dtype, record.setting.device) == ("tiny", "float32", "cpu")
    assert (record.setting.attention, record.setting.prefill_chunk) == ({"kind": "auto"}, 96)
    assert (record.length, record.tokens, record.trial) == (300, 300, 0)
    assert record.facts == {"place": 0, "depth": 0.5, "at": sample.facts["at"], "key": sample.references[0]}
    assert record.references == sample.references
    assert record.name == "passkey"
    assert (record.templated, record.new_tokens) == (False, 12)
    assert (record.setting.tokenizer, record.setting.template) == (llm.tokenizer.fingerprint, None)
    prompt = llm.tokenizer.decode(sample.ids)
    assert record.prompt_sha256 == hashlib.sha256(prompt.encode()).hexdigest()
    answer = llm.with_positional(LAMPE).generate(sample.ids, max_new_tokens=12)
    assert record.output == llm.tokenizer.decode(answer)
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_the_hash_of_a_prompt_does_not_depend_on_the_tokenizer(tiny, tiny_bos, text):
    task = Perplexity(text=text, tokens=9, places=1)
    (plain,) = task.samples(tiny[0].tokenizer, (300,))
    with_bos = type(plain)(task, 301, 0, (255, *plain.ids), plain.facts)
    hashes = {Runner(tiny[0], "x").run(plain).prompt_sha256, Runner(tiny_bos, "x").run(with_bos).prompt_sha256}
    assert len(hashes) == 1


def test_methods_are_compared_trial_by_trial(tiny, text):
    task = Perplexity(text=text, tokens=9, places=2)
    seen = []
    records = evaluate(tiny[0], METHODS, task, (30, 50), started=lambda runner, sample: seen.append(runner.label))
    order = [(record.trial, record.length, record.setting.label) for record in records]
    assert order == [(trial, length, label) for trial in (0, 1) for length in (30, 50) for label in METHODS]
    assert seen == [label for _, _, label in order]


def test_one_method_keeps_its_cache_at_a_time(tiny, text):
    runners = [Runner(tiny[0].with_positional(spec), label) for label, spec in METHODS.items()]
    samples = list(Passkey(text=text, places=1, keys=1).samples(tiny[0].tokenizer, (300,)))
    samples = [replace(sample, shared=20) for sample in samples]
    for record in run_blocks(runners, [samples]):
        assert [r.label for r in runners if r._held] == [record.setting.label]
    assert not any(runner._held for runner in runners)


def test_a_model_without_a_tokenizer(tiny, text):
    with pytest.raises(TokenizerError, match="this model was made without a tokenizer"):
        next(evaluate(LLM(tiny[0].model), {"RoPE": "rope"}, Perplexity(text=text), (300,)))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda runner, sample: 0.5, "task 'passkey': measure returns 0.5; an Outcome would be accepted"),
        (
            lambda runner, sample: Outcome(1.0, runner.answer(replace(sample, new_tokens=0))),
            "task 'passkey': new_tokens = 0 leaves no room for an answer",
        ),
    ],
)
def test_what_a_task_measures_is_checked(tiny, text, monkeypatch, measure, message):
    task = Passkey(text=text, places=1, keys=1, depths=(0.5,))
    (sample,) = task.samples(tiny[0].tokenizer, (200,))
    monkeypatch.setattr(task, "measure", measure)
    with pytest.raises(ConfigError, match=message):
        Runner(tiny[0], "x").run(sample)
