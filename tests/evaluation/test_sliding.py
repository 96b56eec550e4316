from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lampe.errors import ConfigError
from lampe.evaluation import Perplexity, Runner, SlidingPerplexity
from lampe.evaluation.prose import ShortTextWarning


def test_every_token_of_the_stretch_is_scored_once(tiny, text):
    llm = tiny[0]
    samples = list(SlidingPerplexity(text=text, stride=20, windows=4).samples(llm.tokenizer, (50, 90)))
    assert [(s.trial, s.length) for s in samples] == [(w, n) for w in range(4) for n in (50, 90)]
    ids = llm.tokenizer.encode(Path(text).read_text())
    for sample in samples:
        end = sample.length + 20 * sample.trial
        assert list(sample.ids) == ids[end - sample.length : end]
    runner = Runner(llm, "x")
    sample = samples[4]
    losses = -llm.logits([sample.ids])[0].double().log_softmax(-1)[:-1].gather(1, torch.tensor(sample.ids[1:])[:, None])
    assert runner.run(sample).score == pytest.approx(float(losses[-20:].mean()), rel=2e-6)


def test_as_many_windows_as_a_document_holds(tiny, tmp_path: Path):
    for name, letters in (("a", 205), ("b", 160)):
        (tmp_path / f"{name}.txt").write_text("abcde" * (letters // 5))
    task = SlidingPerplexity(text=str(tmp_path), stride=50, windows=None)
    found = [(s.facts["document"], s.length, s.facts["end"]) for s in task.samples(tiny[0].tokenizer, (100, 150))]
    assert sorted(found) == [
        *[("a.txt", 100, end) for end in (100, 150, 200)],
        *[("a.txt", 150, end) for end in (150, 200)],
        *[("b.txt", 100, end) for end in (100, 150)],
        ("b.txt", 150, 150),
    ]


def test_short_documents_are_left_out_with_a_warning(tiny, tmp_path: Path):
    (tmp_path / "long.txt").write_text("abcde" * 100)
    (tmp_path / "short.txt").write_text("abcde" * 10)
    for task in (SlidingPerplexity(text=str(tmp_path), stride=9, windows=2), Perplexity(text=str(tmp_path), tokens=9)):
        with pytest.warns(ShortTextWarning, match=r"leaves out short.txt \(50 tokens\): \d+ tokens are needed"):
            samples = list(task.samples(tiny[0].tokenizer, (200,)))
        assert {sample.facts["document"] for sample in samples} == {"long.txt"}
    with pytest.raises(ConfigError, match=r"long.txt \(500 tokens\), short.txt \(50 tokens\) is too short"):
        list(task.samples(tiny[0].tokenizer, (600,)))


def test_several_files_are_several_documents(tiny, tmp_path: Path):
    names = [str(tmp_path / f"{name}.txt") for name in "ab"]
    for name in names:
        Path(name).write_text(name * 20)
    samples = list(Perplexity(text=names, tokens=5, places=2).samples(tiny[0].tokenizer, (30, 60)))
    assert [(s.trial, s.facts["document"], s.facts["place"]) for s in samples if s.length == 60] == [
        (0, "a.txt", 0),
        (1, "b.txt", 0),
        (2, "a.txt", 1),
        (3, "b.txt", 1),
    ]


def test_a_window_no_longer_than_its_stride(tiny, text):
    with pytest.raises(ConfigError, match="task 'sliding-perplexity': a context of 20 tokens is too short to score"):
        list(SlidingPerplexity(text=text, stride=20).samples(tiny[0].tokenizer, (20,)))
