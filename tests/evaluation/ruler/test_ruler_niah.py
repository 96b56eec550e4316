from __future__ import annotations

import re
import uuid
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.base import Sample, registry
from lampe.evaluation.ruler.haystacks import DEPTHS, Essay
from lampe.evaluation.ruler.vocabulary import ADJECTIVES, NOUNS, WORDS
from lampe.evaluation.runner import evaluate
from lampe.tokenizers import Tokenizer

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
NEEDLE = re.compile(r"One of the special magic (numbers|uuids) for (\S+) is: (\S+)\.")


def samples(tokenizer: Tokenizer, length: int, kind: str, **fields) -> list[Sample]:
    return list(registry.create({"kind": kind, **fields}).samples(tokenizer, [length]))


def needles(text: str) -> list[tuple[str, str]]:
    return [(key, value) for _, key, value in NEEDLE.findall(text)]


def test_noise_is_one_line_again_and_again(smollm2: Tokenizer):
    (sample,) = samples(smollm2, 4096, "niah-single-1", samples=1)
    lines = smollm2.decode(sample.ids).split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith("A special magic number is hidden"))
    end = next(index for index, line in enumerate(lines) if line.startswith("What is the special magic number"))
    context = lines[start + 1 : end]
    (place,) = (index for index, line in enumerate(context) if line != NOISE)
    key, value = sample.facts["key"], sample.references[0]
    assert context[place] == f"One of the special magic numbers for {key} is: {value}."
    assert place / (len(context) - 1) == pytest.approx(sample.facts["depth"], abs=0.01)
    assert re.fullmatch(r"[1-9]\d{6}", value)
    adjective, noun = str(key).split("-")
    assert (adjective in ADJECTIVES, noun in NOUNS) == (True, True)


@pytest.mark.parametrize(("kind", "form"), [("niah-multikey-2", r"[1-9]\d{6}"), ("niah-multikey-3", None)])
def test_a_haystack_of_needles(smollm2: Tokenizer, kind: str, form: str | None):
    for sample in samples(smollm2, 8192, kind, samples=2):
        text = smollm2.decode(sample.ids)
        found = needles(text)
        context = text[text.index("afterwards.\n") + 12 : text.rindex("\nWhat is")]
        assert NEEDLE.sub("", context) == "\n" * (len(found) - 1)
        assert len(set(found)) == len(dict(found)) == len({value for _, value in found})
        assert dict(found)[str(sample.facts["key"])] == sample.references[0]
        place = [key for key, _ in found].index(str(sample.facts["key"]))
        assert place / len(found) == pytest.approx(sample.facts["depth"], abs=0.02)
        for key, value in found:
            if form:
                assert re.fullmatch(form, value)
            else:
                assert {uuid.UUID(key).version, uuid.UUID(value).version} == {4}


def test_long_lines_fill_a_short_prompt(smollm2: Tokenizer):
    """A line of two UUIDs has about 86 tokens, of which 41 may be missing at 4,096."""
    made = samples(smollm2, 4096, "niah-multikey-3", samples=25)
    assert min(len(sample.ids) for sample in made) >= 4056
    assert max(len(sample.ids) for sample in made) <= 4096
    # Depths are as even as without it.
    assert sum(sample.facts["depth"] < 0.5 for sample in made) in range(6, 20)


@pytest.mark.parametrize(
    ("kind", "keys", "values"), [("niah-multikey-1", 4, 1), ("niah-multivalue", 1, 4), ("niah-multiquery", 4, 1)]
)
def test_needles_in_prose(smollm2: Tokenizer, text: str, kind: str, keys: int, values: int):
    for sample in samples(smollm2, 2000, kind, samples=4, text=text):
        prompt = smollm2.decode(sample.ids)
        found = needles(prompt)
        assert Counter(Counter(key for key, _ in found).values()) == {values: keys}
        asked = str(sample.facts["key"]).split(", ")
        assert len(asked) == (4 if kind == "niah-multiquery" else 1)
        # The references stand in the order of the keys that are asked for.
        assert [key for key in asked for _ in range(values)] == [
            {value: key for key, value in found}[reference] for reference in sample.references
        ]
        depths = str(sample.facts.get("depths", sample.facts.get("depth"))).split(", ")
        assert len(set(depths)) == len(sample.references)
        assert {float(depth) for depth in depths} <= set(DEPTHS)


def test_needles_stand_between_sentences_at_their_depths(smollm2: Tokenizer, text: str):
    for sample in samples(smollm2, 1500, "niah-single-2", samples=6, text=text):
        prompt = smollm2.decode(sample.ids)
        needle = NEEDLE.search(prompt)
        assert needle is not None
        start, end = prompt.index("afterwards.\n") + 12, prompt.rindex("\nWhat is")
        before, after = prompt[start : needle.start()], prompt[needle.end() : end]
        assert before == "" or before.endswith(". ")
        assert after == "" or re.match(r" [A-Z]", after)
        assert len(before) / (len(before) + len(after)) == pytest.approx(sample.facts["depth"], abs=0.05)
        prose = " ".join(Path(text).read_text().split())
        assert prose.startswith(f"{before.strip()} {after.strip()}".strip())


def test_prose_follows_itself_where_it_is_too_short(smollm2: Tokenizer, tmp_path: Path):
    path = tmp_path / "short.txt"
    path.write_text("First things come first.\n\nSecond things\tcome second! Third things")
    (sample,) = samples(smollm2, 500, "niah-single-2", samples=1, text=str(path), depths=[1.0])
    prompt = smollm2.decode(sample.ids)
    context = prompt[prompt.index("afterwards.\n") + 12 : prompt.rindex(" One of the special")]
    whole = "First things come first. Second things come second! Third things "
    assert len(context) > 5 * len(whole)
    assert (whole * 60).startswith(context)
    assert 495 <= len(sample.ids) <= 500


def test_sentences_of_prose():
    essay = Essay('One two. "Three four!"  Five (six).\n\nSeven')
    assert essay.units(0) == []
    assert essay.units(3) == ["One two. ", '"Three ']
    assert essay.units(4) == ["One two. ", '"Three four!" ']
    assert essay.units(7) == ["One two. ", '"Three four!" ', "Five (six). ", "Seven "]
    assert essay.units(9) == ["One two. ", '"Three four!" ', "Five (six). ", "Seven ", "One two. "]


def test_sentences_that_no_space_parts():
    essay = Essay("他说：「天黑了。」 灯亮了！Python 3。 x")
    assert essay.units(99)[:4] == ["他说：「天黑了。」 ", "灯亮了！", "Python 3。 ", "x "]
    assert essay.units(2) == ["他说"]
    assert essay.hide(13, [(0.5, "A needle.")]) == "他说：「天黑了。」 A needle. 灯亮了！"
    assert essay.hide(15, [(0.7, "A needle."), (0.8, "Another.")]) == (
        "他说：「天黑了。」 灯亮了！ A needle. Another. Python 3"
    )


def test_what_is_too_long_for_a_sentence_is_cut_at_words():
    def lengths(words: int, size: int) -> list[int]:
        essay = Essay(" ".join(["word"] * words) + ". Short one.")
        return [len(unit.split()) for unit in essay.units(size)]

    assert lengths(100, 102) == [100, 2]
    assert lengths(101, 103) == [16, 17, 17, 17, 17, 17, 2]
    assert lengths(101, 90) == [90]
    # A list of 150 words is little of a long prompt; one of 300 is none of a list.
    assert lengths(150, 152 * 99)[:1] == [150]
    assert lengths(300, 302 * 99)[:15] == [20] * 15


@pytest.mark.parametrize(
    "sentence",
    ["so today we are going to talk about long context and how people measure it ", "今天天气很好，我们去公园散步。"],
)
def test_needles_stand_at_their_depths_in_any_prose(tiny, tmp_path: Path, sentence: str):
    path = tmp_path / "prose.txt"
    path.write_text(sentence * 300, encoding="utf-8")
    made = samples(tiny[0].tokenizer, 8000, "niah-single-2", samples=1, text=str(path), depths=[0.1, 0.5, 0.9])
    for sample in made:
        prompt = tiny[0].tokenizer.decode(sample.ids)
        context = prompt[prompt.index("afterwards.\n") + 12 : prompt.rindex("\nWhat is")]
        needle = NEEDLE.search(context)
        assert needle is not None
        before, after = context[: needle.start()], context[needle.end() :]
        assert len(before) / len(before + after) == pytest.approx(sample.facts["depth"], abs=0.015)
        assert (sentence.strip() * 2 in before + after) == (" " not in sentence)
        assert 7920 <= len(sample.ids) <= 8000


def test_the_forty_depths():
    assert len(set(DEPTHS)) == 40
    assert (DEPTHS[0], DEPTHS[1], DEPTHS[20], DEPTHS[-1]) == (0.0, 0.03, 0.51, 1.0)
    assert {round(after - before, 2) for before, after in pairwise(DEPTHS)} == {0.02, 0.03}


def test_a_value_that_the_prose_says_is_not_drawn(smollm2: Tokenizer, tmp_path: Path, monkeypatch):
    path = tmp_path / "numbers.txt"
    path.write_text("It is 1000000 or 1000001. " * 9)
    # Whoever draws evenly from three numbers hits the two that the prose says in no time.
    monkeypatch.setattr(Random, "randint", lambda self, low, high: low + self.randrange(3))
    made = samples(smollm2, 400, "niah-single-2", samples=5, text=str(path))
    assert {sample.references for sample in made} == {("1000002",)}


@pytest.mark.parametrize("kind", ["niah-single-1", "niah-single-3", "niah-multikey-1", "niah-multikey-2"])
def test_depths_can_be_given(smollm2: Tokenizer, kind: str):
    made = samples(smollm2, 1500, kind, samples=2, depths=[0, 0.5, 1])
    assert [(sample.trial, sample.facts["depth"]) for sample in made] == [
        (trial, depth) for trial in (0, 1) for depth in (0, 0.5, 1)
    ]
    for trial in (made[:3], made[3:]):
        assert len({sample.references for sample in trial}) == 1
        places = []
        for sample in trial:
            text = smollm2.decode(sample.ids)
            start, end = text.index("afterwards.\n") + 12, text.rindex("\nWhat is")
            places.append((text.index(sample.references[0]) - start) / (end - start))
        assert places == pytest.approx([0.02, 0.5, 0.99], abs=0.06)
    assert made[0].references != made[3].references


@pytest.mark.parametrize("kind", ["niah-multikey-1", "niah-multikey-2", "niah-multikey-3"])
@pytest.mark.parametrize("length", [2000, 4096])
def test_several_questions_about_one_context(smollm2: Tokenizer, kind: str, length: int):
    made = samples(smollm2, length, kind, samples=2, questions=5)
    assert [sample.trial for sample in made] == [0] * 5 + [1] * 5
    for trial in (made[:5], made[5:]):
        assert len({len(sample.ids) for sample in trial}) == 1
        assert len({tuple(sample.ids[: sample.shared]) for sample in trial}) == len({s.shared for s in trial}) == 1
        assert len({sample.references for sample in trial}) == len({sample.facts["key"] for sample in trial}) == 5
        for sample in trial:
            text = smollm2.decode(sample.ids)
            assert dict(needles(text))[str(sample.facts["key"])] == sample.references[0]
            rest = smollm2.decode(sample.ids[sample.shared :])
            assert rest.count(str(sample.facts["key"])) in (1, 2)
            assert "What is the special magic" in smollm2.decode(sample.ids[: sample.shared])[-60:]
    assert made[0].ids[:1000] != made[5].ids[:1000]


def test_questions_and_depths_exclude_each_other():
    with pytest.raises(ConfigError, match=r"depths = \(0\.5,\) is for questions = 1, and questions is 2"):
        registry.create({"kind": "niah-multikey-2", "questions": 2, "depths": [0.5]})
    for kind in ("niah-single-1", "niah-multivalue"):
        with pytest.raises(ConfigError, match="unknown field 'questions'"):
            registry.create({"kind": kind, "questions": 2})
    with pytest.raises(ConfigError, match="unknown field 'depths'"):
        registry.create({"kind": "niah-multiquery", "depths": [0.5]})
    with pytest.raises(ConfigError, match="depths"):
        registry.create({"kind": "niah-single-1", "depths": []})
    with pytest.raises(ConfigError, match="questions = 41: input should be less than or equal to 40"):
        registry.create({"kind": "niah-multikey-1", "questions": 41})


def test_the_vocabulary_has_no_word_twice():
    for words in (ADJECTIVES, NOUNS):
        assert len(words) > 600
        assert len(set(words)) == len(words)
        assert all(re.fullmatch("[a-z]{2,}", word) for word in words)
    assert set(WORDS) == {*ADJECTIVES, *NOUNS}


def test_the_score_is_the_share_of_values_in_the_answer(tiny, text: str):
    (sample,) = samples(tiny[0].tokenizer, 2000, "niah-multivalue", samples=1, text=text)
    first, second, third, fourth = sample.references
    for answer, score in (
        (f" {fourth}, {first}, {third} and {second}.", 1.0),
        (f" {first} {first} 7{second}7", 0.5),
        (f" {third[:-1]}", 0.0),
        ("", 0.0),
    ):
        assert sample.task.score(answer, sample) == score


@pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")
def test_records_of_a_run(tiny):
    task = registry.create({"kind": "niah-multikey-2", "samples": 1, "questions": 3, "max_new_tokens": 4})
    records = list(evaluate(tiny[0], {"rope": {"kind": "rope"}}, task, [700]))
    assert len({record.tokens for record in records}) == 1
    assert len({record.references for record in records}) == len({record.facts["key"] for record in records}) == 3
    for record in records:
        assert (record.name, record.new_tokens, record.score) == ("niah-multikey-2", 4, 0.0)
        assert len(str(record.output)) <= 4
    assert task.show([1.0, 0.25]) == "62.5"
