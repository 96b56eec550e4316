from __future__ import annotations

import math
import re
from collections import Counter

import pytest

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.ruler.vocabulary import WORDS
from lampe.tokenizers import Tokenizer

LIST = re.compile(r"often\.\n(.*)\nQuestion")


def one(kind: str, tokenizer: Tokenizer, length: int, trial: int = 0) -> Sample:
    return list(registry.create({"kind": kind, "samples": trial + 1}).samples(tokenizer, [length]))[trial]


def listed(text: str) -> list[str]:
    """The words of a numbered list, after a check of the numbers."""
    items = re.findall(r"(\d+)\. (\S+)", text)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    assert " ".join(f"{number}. {word}" for number, word in items) == text
    return [word for _, word in items]


@pytest.mark.parametrize(
    ("length", "common", "other", "example_words", "example_common", "example_other"),
    [(1000, 6, 1, 20, 3, 1), (4095, 6, 1, 20, 3, 1), (4096, 30, 3, 40, 10, 3), (65536, 30, 3, 40, 10, 3)],
)
def test_ten_words_come_more_often_than_all_others(
    smollm2: Tokenizer,
    length: int,
    common: int,
    other: int,
    example_words: int,
    example_common: int,
    example_other: int,
):
    sample = one("cwe", smollm2, length)
    text = smollm2.decode(sample.ids)
    example, counts = (Counter(listed(found)) for found in LIST.findall(text))
    assert Counter(counts.values()) == {common: 10, other: sample.facts["words"] - 10}
    assert {word for word, count in counts.items() if count == common} == set(sample.references)
    assert Counter(example.values()) == {example_common: 10, example_other: example_words - 10}
    assert not example.keys() & counts.keys()
    solution = text[text.index("in the list are: ") + 17 :].split("\n")[0]
    assert set(listed(solution)) == {word for word, count in example.items() if count == example_common}
    assert set(example) <= set(WORDS)
    single = {word for word in counts if "-" not in word}
    assert single == (set() if length == 65536 else set(counts))


def test_a_list_is_shuffled(smollm2: Tokenizer):
    sample = one("cwe", smollm2, 4096)
    words = listed(LIST.findall(smollm2.decode(sample.ids))[1])
    assert words != sorted(words)
    places = [index / len(words) for index, word in enumerate(words) if word in sample.references]
    assert sum(places) / len(places) == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("length", [1000, 4096, 65536])
def test_coded_words_follow_zipf(smollm2: Tokenizer, length: int):
    sample = one("fwe", smollm2, length)
    text = smollm2.decode(sample.ids)
    coded = text[text.index("coded words. ") + 13 : text.index("\nQuestion")].split(" ")
    counts = Counter(coded)
    dots = counts.pop("...")
    assert dots > max(counts.values())
    assert all(re.fullmatch("[a-z]{6}", word) for word in counts)
    (third, *rest) = (count for _, count in counts.most_common()[2:])
    assert tuple(word for word, _ in counts.most_common(3)) == sample.references
    assert third > rest[0]
    assert sample.facts["words"] == len(counts) <= length // 50 - 1
    # Of n words rank k comes n / (zeta(2) k^2) times, rounded down; the dots tell n to within two.
    candidates = [n for n in range(int(dots * 1.6), int(dots * 1.7) + 2) if int(n / (math.pi**2 / 6)) == dots]
    expected = [[int(n / (math.pi**2 / 6 * k**2)) for k in range(2, len(counts) + 2)] for n in candidates]
    assert [count for _, count in counts.most_common()] in expected


def test_every_sample_has_other_coded_words(smollm2: Tokenizer):
    first, second = (one("fwe", smollm2, 1000, trial) for trial in (0, 1))
    assert not set(first.references) & set(second.references)


@pytest.mark.parametrize("length", range(210, 420, 15))
def test_short_prompts_tell_the_third_word_from_the_fourth(smollm2: Tokenizer, length: int):
    text = smollm2.decode(one("fwe", smollm2, length).ids)
    counts = Counter(text[text.index("coded words. ") + 13 : text.index("\nQuestion")].split(" "))
    (_, third), (_, fourth) = counts.most_common(5)[3:]
    assert third > fourth
