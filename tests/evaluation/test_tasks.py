from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from lampe import evaluation
from lampe.errors import ConfigError, UnknownNameError
from lampe.evaluation import Outcome, Passkey, Perplexity, Sample, Task, TaskConfig, evaluate, summarise


class Letters(Task):
    """The share of tokens that the model says again, of as many as the length says."""

    class Config(TaskConfig):
        kind: Literal["letters"] = "letters"

    def samples(self, tokenizer, lengths):
        for length in lengths:
            yield Sample(self, length, 0, tuple(tokenizer.encode("ab" * length)[:length]), {})

    def measure(self, runner, sample):
        answer = runner.generate(sample.ids, 4)
        return Outcome(len(set(answer) & set(sample.ids)) / 4, runner.tokenizer.decode(answer))


def test_tasks_are_made_by_name_and_config():
    suites = Counter(entry.cls.suite for entry in evaluation.registry.entries())
    assert suites == {None: 5, "ruler": 13, "infinitebench": 7, "longbench": 1, "leval": 1}
    assert [name for name in evaluation.names() if evaluation.registry.get(name).suite is None] == [
        "needle",
        "passkey",
        "passkey-loss",
        "perplexity",
        "sliding-perplexity",
    ]
    task = evaluation.create({"kind": "passkey", "keys": 3})
    assert isinstance(task, Passkey)
    assert task.config == Passkey(keys=3).config
    assert isinstance(evaluation.create("perplexity"), Perplexity)
    with pytest.raises(UnknownNameError, match=r"unknown task 'pasky' \(did you mean 'passkey'\?\)"):
        evaluation.create("pasky")
    with pytest.raises(ConfigError, match=r"task 'passkey': keys = 0"):
        evaluation.create({"kind": "passkey", "keys": 0})


def test_a_task_of_ones_own_is_measured_and_summarised(tiny):
    with evaluation.registry.temporarily("letters", Letters):
        records = list(evaluate(tiny[0], {"RoPE": "rope"}, evaluation.create("letters"), (10, 20)))
        summary = summarise(records, "letters")
    for record in records:
        prompt = tiny[0].tokenizer.encode("ab" * record.length)[: record.length]
        answer = tiny[0].generate(prompt, max_new_tokens=4)
        assert record.output == tiny[0].tokenizer.decode(answer)
        assert summary.scores["RoPE", (record.length, None)] == (len(set(answer) & set(prompt)) / 4,)
    assert summary.lengths == (10, 20)
