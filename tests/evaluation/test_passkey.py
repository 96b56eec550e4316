from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation import Passkey, Perplexity
from lampe.evaluation.passkey import first_number
from lampe.session import shared_prefix
from tests.evaluation.tiny import prose


def test_prompts_are_whole_and_of_exact_length(tiny_bos, tmp_path: Path):
    tokenizer = tiny_bos.tokenizer
    path = tmp_path / "long.txt"
    path.write_text(prose(1500))
    task = Passkey(text=str(path), places=2, keys=2)
    samples = list(task.samples(tokenizer, (378, 678)))
    assert len(samples) == 2 * 2 * 3 * 2
    for sample in samples:
        key = sample.references[0]
        needle = f"\n\nThe pass key is {key}. Remember it. {key} is the pass key."
        prompt = tokenizer.decode(sample.ids[1:])
        assert (len(sample.ids), sample.ids[0]) == (sample.length, 255)
        assert tokenizer.decode(sample.ids[sample.facts["at"] :]).startswith(needle)
        assert prompt.count(key) == 2
        before, after = prompt.split(needle)
        assert after.endswith(".\n\nThe pass key is")
        assert before.endswith(".")
        assert after[0] in " \n"
        assert len(before) / (len(before) + len(after)) == pytest.approx(sample.facts["depth"], abs=0.25)


def test_prompts_begin_as_the_perplexity_context_of_their_place(tiny, text):
    tokenizer = tiny[0].tokenizer
    contexts = {
        (s.trial, s.length): s.ids for s in Perplexity(text=text, tokens=9, places=2).samples(tokenizer, (300, 800))
    }
    for sample in Passkey(text=text, places=2, keys=1).samples(tokenizer, (300, 800)):
        # The needle may happen to begin as the prose it replaces does: with a line break.
        assert 0 <= shared_prefix(sample.ids, contexts[sample.trial, sample.length]) - sample.facts["at"] <= 2


def test_keys_follow_the_seed(tiny, text):
    def keys(**fields) -> list[str]:
        samples = Passkey(text=text, places=2, keys=3, depths=(0.5,), **fields).samples(tiny[0].tokenizer, (300,))
        return [sample.references[0] for sample in samples]

    assert keys() == keys() != keys(seed=1)
    assert len(set(keys())) == 6
    assert {len(key) for key in keys(digits=7)} == {7}


def test_a_key_that_the_text_holds_is_never_drawn(tiny, tmp_path: Path):
    path = tmp_path / "numbers.txt"
    path.write_text(" ".join(f"Line {number}." for number in range(10, 99)) * 3)
    task = Passkey(text=str(path), digits=2, keys=1, places=1, depths=(0.5,))
    assert [s.references[0] for s in task.samples(tiny[0].tokenizer, (300,))] == ["99"]
    with pytest.raises(ConfigError, match=r"^task 'passkey': .* too few numbers of 2 digits for 2 keys; raise digits"):
        list(Passkey(text=str(path), digits=2, keys=2, places=1).samples(tiny[0].tokenizer, (300,)))


def test_a_prompt_without_room_for_prose(tiny, text):
    with pytest.raises(ConfigError) as error:
        list(Passkey(text=text).samples(tiny[0].tokenizer, (300, 77)))
    assert str(error.value) == (
        "task 'passkey': a prompt of 77 tokens has no room for prose; the key and the question take 77"
    )


@pytest.mark.parametrize(
    ("answer", "number"),
    [(" 12345.", "12345"), (" 123456", "123456"), ("one, 7 or 12345", "7"), ("none", None), ("", None)],
)
def test_the_answer_is_the_first_number(answer: str, number: str | None):
    assert first_number(answer) == number


class Parrot:
    """A runner that always answers the same."""

    def __init__(self, tokenizer, answer: str):
        self.tokenizer = tokenizer
        self._answer = answer

    def answer(self, sample):
        return self._answer[: sample.new_tokens]


def test_an_answer_is_right_if_its_first_number_is_the_key(tiny, text):
    tokenizer = tiny[0].tokenizer
    task = Passkey(text=text, depths=(0.5,), keys=1, places=1, max_new_tokens=9)
    (sample,) = task.samples(tokenizer, (300,))
    key = sample.references[0]
    for answer, score in ((f" {key}. The", 1.0), (f" {key}7", 0.0), (f" 9 {key}", 0.0), ("", 0.0)):
        outcome = task.measure(Parrot(tokenizer, answer), sample)
        assert (outcome.score, outcome.output) == (score, answer[:9])


def test_found_of_all():
    assert Passkey.show([1.0, 0.0, 1.0]) == "2/3"
    assert Passkey.aggregate([1.0, 0.0, 1.0, 0.0]) == 0.5


@pytest.mark.parametrize("depths", [(1.5,), ()])
def test_depths_are_fractions(depths):
    with pytest.raises(ConfigError, match="depths"):
        Passkey(depths=depths)
