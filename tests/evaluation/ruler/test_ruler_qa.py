from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.base import Sample, registry
from lampe.tokenizers import Tokenizer
from tests.evaluation.tiny import prose

INSTRUCTION = (
    "Answer the question based on the given documents. Only give me the answer and do not output any other words."
)


def paragraph(article: int, number: int) -> str:
    """A paragraph of two to eight sentences that no other is like."""
    return f"Town {article}-{number} lies low. " + prose(2 + (article + 3 * number) % 7).replace("\n\n", " ")


@pytest.fixture
def squad(tmp_path: Path) -> str:
    """Twelve articles of four paragraphs; each has a question with answers and one without."""
    data = [
        {
            "title": f"Article {article}",
            "paragraphs": [
                {
                    "context": paragraph(article, number),
                    "qas": [
                        {"question": "Why?", "id": "x", "answers": [], "is_impossible": True},
                        {
                            "question": f"Which town is {article}-{number}?",
                            "id": f"{article}-{number}",
                            "answers": [{"text": text, "answer_start": 0} for text in (f"Town {article}-{number}",) * 2]
                            + [{"text": f"{article}-{number}", "answer_start": 5}],
                            "is_impossible": False,
                        },
                    ],
                }
                for number in range(4)
            ],
        }
        for article in range(12)
    ]
    path = tmp_path / "dev-v2.0.json"
    path.write_text(json.dumps({"version": "v2.0", "data": data}))
    return str(path)


@pytest.fixture
def hotpot(tmp_path: Path) -> str:
    """Eight questions with five paragraphs each; neighbours share one."""
    data = [
        {
            "_id": str(index),
            "question": f"Is town {index} low?",
            "answer": "yes" if index % 2 else f"Town {index}-0",
            "supporting_facts": [[f"T{index}", 0], [f"T{index + 1}", 0]],
            "context": [
                [f"T{number}", [f"Town {number}-0 is low.", " " + " ".join(prose(3 + number % 5).split())]]
                for number in range(4 * index, 4 * index + 5)
            ],
        }
        for index in range(8)
    ]
    path = tmp_path / "hotpot.json"
    path.write_text(json.dumps(data))
    return str(path)


def documents(text: str) -> list[str]:
    start = text.index("The following are given documents.\n\n") + 36
    context = text[start : text.rindex(f"\n\n{INSTRUCTION}")]
    found = re.split(r"(?:^|\n\n)Document (\d+):\n", context)
    assert found[0] == ""
    assert found[1::2] == [str(number) for number in range(1, len(found) // 2 + 1)]
    return found[2::2]


def make(kind: str, data: str, tokenizer: Tokenizer, length: int, **fields: int) -> list[Sample]:
    return list(registry.create({"kind": kind, "data": data, **fields}).samples(tokenizer, [length]))


@pytest.mark.parametrize("length", [1500, 2500])
def test_a_paragraph_among_those_of_its_article_and_others(smollm2: Tokenizer, squad: str, length: int):
    for trial, sample in enumerate(make("qa-1", squad, smollm2, length, samples=6)):
        article, number = divmod(trial, 4)
        text = smollm2.decode(sample.ids)
        found = documents(text)
        assert text.endswith(f"\n\n{INSTRUCTION}\n\nQuestion: Which town is {article}-{number}?\nassistant\nAnswer:")
        assert f"user\n{INSTRUCTION}\n\nThe following are given documents.\n\nDocument 1:\n" in text
        assert 0.97 * length < len(sample.ids) <= length
        assert len(set(found)) == len(found) == sample.facts["documents"]
        assert set(found) <= {paragraph(a, n) for a in range(12) for n in range(4)}
        # The others of the article distract first.
        assert {paragraph(article, n) for n in range(4)} <= set(found)
        assert found.index(paragraph(article, number)) / len(found) == pytest.approx(sample.facts["depth"], abs=1e-4)
        assert sample.references == (f"Town {article}-{number}", f"{article}-{number}")
        assert sample.new_tokens == 32


def test_gold_documents_stand_at_different_places(smollm2: Tokenizer, squad: str):
    depths = [sample.facts["depth"] for sample in make("qa-1", squad, smollm2, 1500, samples=12)]
    assert min(depths) < 0.35
    assert max(depths) > 0.65


def test_the_paragraphs_of_a_question_are_all_there(smollm2: Tokenizer, hotpot: str):
    for trial, sample in enumerate(make("qa-2", hotpot, smollm2, 1500, samples=8)):
        found = documents(smollm2.decode(sample.ids))
        titles = [document.split("\n")[0] for document in found]
        assert {f"T{number}" for number in range(4 * trial, 4 * trial + 5)} <= set(titles)
        assert len(set(titles)) == len(titles) == sample.facts["documents"]
        own = found[titles.index(f"T{4 * trial}")]
        assert own.startswith(f"T{4 * trial}\nTown {4 * trial}-0 is low. ")
        assert 0.95 * 1500 < len(sample.ids) <= 1500
        assert sample.references == ("yes" if trial % 2 else f"Town {trial}-0",)


@pytest.mark.parametrize(("kind", "name"), [("qa-1", "squad"), ("qa-2", "hotpot")])
def test_a_small_file_fills_a_long_prompt(smollm2: Tokenizer, request, kind: str, name: str):
    (sample,) = make(kind, request.getfixturevalue(name), smollm2, 30000, samples=1)
    found = documents(smollm2.decode(sample.ids))
    assert 0.99 * 30000 <= len(sample.ids) <= 30000
    own = [document for document in found if "Town 0-0 " in document]
    # Distractors are taken again; the question's own documents are not.
    assert len(own) == 1
    assert len(set(found)) < len(found)


@pytest.mark.parametrize(("kind", "name"), [("qa-1", "squad"), ("qa-2", "hotpot")])
def test_qa_chance_follows_the_seed(smollm2: Tokenizer, request, kind: str, name: str):
    data = request.getfixturevalue(name)
    first, again, other = (
        make(kind, data, smollm2, 1500, samples=count, seed=seed)[0] for count, seed in ((1, 42), (3, 42), (1, 43))
    )
    assert first.ids == again.ids != other.ids
    assert first.references == other.references


def test_any_right_answer_scores(smollm2: Tokenizer, squad: str):
    (sample,) = make("qa-1", squad, smollm2, 1500, samples=1)
    assert [sample.task.score(answer, sample) for answer in ("TOWN 0-0.", "it is 0-0", "0-1", "")] == [1, 1, 0, 0]


def test_files_that_do_not_do(smollm2: Tokenizer, tmp_path: Path, squad: str, hotpot: str):
    missing = str(tmp_path / "no.json")
    with pytest.raises(ConfigError) as error:
        make("qa-1", missing, smollm2, 1500)
    assert str(error.value) == (
        f"task 'qa-1': data = {missing!r}: there is no such file; give the development set of SQuAD 2.0 (dev-v2.0.json)"
    )
    broken = tmp_path / "broken.json"
    broken.write_bytes(b'{"data": \xff')
    lines = tmp_path / "lines.json"
    lines.write_text('{"a": 1}\n{"a": 2}\n')
    empty = tmp_path / "empty.json"
    empty.write_text('{"data": []}')
    for kind, path in (
        ("qa-1", hotpot),
        ("qa-2", squad),
        ("qa-1", str(broken)),
        ("qa-2", str(lines)),
        ("qa-1", str(empty)),
    ):
        with pytest.raises(ConfigError, match=f"task '{kind}': data = .* is of another format, or has no question"):
            make(kind, path, smollm2, 1500)
    with pytest.raises(ConfigError, match="task 'qa-1': 'data' is missing"):
        registry.create({"kind": "qa-1"})


def test_lengths_and_numbers_that_do_not_do(smollm2: Tokenizer, hotpot: str):
    with pytest.raises(ConfigError, match=r"task 'qa-2': samples = 9, but .*hotpot.json has 8 questions"):
        make("qa-2", hotpot, smollm2, 1500, samples=9)
    with pytest.raises(ConfigError) as error:
        make("qa-2", hotpot, smollm2, 200)
    assert re.fullmatch(
        r"task 'qa-2': a prompt of 200 tokens is too short; the documents of question 'Is town 0 low\?' need \d{3}",
        str(error.value),
    )
