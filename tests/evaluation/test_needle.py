from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation import Needle, Passkey
from lampe.evaluation.needle import NEEDLE, QUESTION
from tests.evaluation.test_passkey import Parrot


def test_prompts_hold_the_needle_at_every_depth(tiny, text):
    tokenizer = tiny[0].tokenizer
    task = Needle(text=text, depths=(0.0, 0.3, 1.0), places=2)
    samples = list(task.samples(tokenizer, (900, 1700)))
    assert [(s.trial, s.length, s.facts["depth"]) for s in samples] == [
        (trial, length, depth) for trial in (0, 1) for length in (900, 1700) for depth in (0.0, 0.3, 1.0)
    ]
    for sample in samples:
        prompt = tokenizer.decode(sample.ids)
        before, after = prompt.split(NEEDLE)
        assert 0.97 * sample.length <= len(sample.ids) <= sample.length
        assert after.endswith(f"\n\n{QUESTION}")
        haystack = len(prompt) - len(NEEDLE) - len(QUESTION) - 2
        assert len(before) / haystack == pytest.approx(sample.facts["depth"], abs=0.12)
        assert not before.strip() or before.rstrip().endswith(".") or sample.facts["depth"] == 1
        for answer in sample.references:
            assert answer not in before + after
            assert answer in NEEDLE


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("Eat a sandwich and sit in DOLORES PARK.", 1.0),
        ("Sit in Dolores Park", 0.5),
        ("a sandwich in the park", 0.0),
        ("", 0.0),
    ],
)
def test_an_answer_is_scored_by_the_words_it_must_hold(tiny, text, output: str, score: float):
    task = Needle(text=text, depths=(0.5,), max_new_tokens=60)
    (sample,) = task.samples(tiny[0].tokenizer, (900,))
    outcome = task.measure(Parrot(tiny[0].tokenizer, output), sample)
    assert (outcome.score, outcome.output) == (score, output)
    assert sample.new_tokens == 60


def test_an_answer_that_the_needle_does_not_hold(tiny, text):
    task = Needle(text=text, needle="The cat sat.", answers=("cat", "dog"))
    with pytest.raises(ConfigError, match=r"answers: 'dog' is not in the needle, 'The cat sat\.'"):
        list(task.samples(tiny[0].tokenizer, (900,)))


def test_documents_of_a_folder(tiny, text, tmp_path: Path):
    (tmp_path / "a.txt").write_text(Path(text).read_text())
    (tmp_path / "b.txt").write_text(Path(text).read_text()[::-1])
    samples = list(Needle(text=str(tmp_path), depths=(0.5,)).samples(tiny[0].tokenizer, (900,)))
    assert [(s.trial, s.facts["document"]) for s in samples] == [(0, "a.txt"), (1, "b.txt")]


def test_a_short_text_is_repeated(tiny, tmp_path: Path):
    (tmp_path / "short.txt").write_text("One grey boat. Two old mills. " * 4)
    for task in (
        Needle(text=str(tmp_path / "short.txt"), depths=(0.5,)),
        Passkey(text=str(tmp_path / "short.txt"), places=1, keys=1, depths=(0.5,)),
    ):
        (sample,) = task.samples(tiny[0].tokenizer, (900,))
        prompt = tiny[0].tokenizer.decode(sample.ids)
        assert len(sample.ids) == 900
        assert prompt.count("One grey boat.") > 15
        assert all(answer in prompt for answer in sample.references)
