from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.longbench import LongBench
from lampe.evaluation.longbench.datasets import DATASETS, RULES

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "longbench"


def written(folder: Path, dataset: str, *records: dict[str, Any], e: bool = False) -> Path:
    plain = {
        "input": "Who?",
        "context": "Ann did.",
        "answers": ["Ann"],
        "length": 5000,
        "all_classes": None,
        "_id": "i",
    }
    lines = [json.dumps({**plain, **record}) for record in records]
    (folder / f"{dataset}{'_e' * e}.jsonl").write_text("\n".join(lines))
    return folder


def sample_of(task: LongBench, tokenizer: Any, length: int = 4000) -> Any:
    (sample,) = task.samples(tokenizer, [length])
    return sample


def test_sixteen_datasets_with_their_limits():
    limits = {name: rules.new_tokens for name, rules in RULES.items()}
    assert len(limits) == 16
    assert set(limits) == set(DATASETS)
    assert [name for name, limit in limits.items() if limit == 512] == ["gov_report", "qmsum", "multi_news"]
    assert {name for name, limit in limits.items() if limit == 128} == {"narrativeqa", "qasper", "samsum"}
    assert {name for name, limit in limits.items() if limit == 64} == {"multifieldqa_en", "trec", "lcc", "repobench-p"}
    plain = {name for name, rules in RULES.items() if not rules.chat}
    assert plain == {"trec", "triviaqa", "samsum", "lcc", "repobench-p"}


# SHA-256, its first 12 digits, of each prompt in THUDM/LongBench, config/dataset2prompt.json.
OFFICIAL = {
    "narrativeqa": "5178f3835db9",
    "qasper": "0fbdd123fe7f",
    "multifieldqa_en": "20b4666a2de8",
    "hotpotqa": "9ec4ae308865",
    "2wikimqa": "9ec4ae308865",
    "musique": "9ec4ae308865",
    "gov_report": "91c25d585b18",
    "qmsum": "dca23b678fe0",
    "multi_news": "2af3f28c40b9",
    "trec": "0eff8bebdba9",
    "triviaqa": "00a802e6377e",
    "samsum": "a68d88423490",
    "passage_count": "986550b6c610",
    "passage_retrieval_en": "39b96b7fa52b",
    "lcc": "6a1f24cf0bb8",
    "repobench-p": "ee9ec182ea5f",
}


def test_prompts_are_the_official_ones():
    assert {name: sha256(rules.prompt.encode()).hexdigest()[:12] for name, rules in RULES.items()} == OFFICIAL


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_is_read_and_scored(tiny, tmp_path: Path, dataset: str):
    answer = "Paragraph 7" if dataset == "passage_retrieval_en" else "7" if dataset == "passage_count" else "Ann did it"
    folder = written(tmp_path, dataset, {"answers": [answer], "all_classes": ["Ann did it", "Ann", "Bob"]})
    task = LongBench(dataset=dataset, data=str(folder))
    sample = sample_of(task, tiny[0].tokenizer)
    prompt = tiny[0].tokenizer.decode(sample.ids)
    assert prompt == RULES[dataset].prompt.format(context="Ann did.", input="Who?")
    assert task.name == f"longbench/{dataset}"
    assert (sample.references, sample.new_tokens) == ((answer,), RULES[dataset].new_tokens)
    assert task.score(answer, sample) == pytest.approx(1.0)
    assert task.score("", sample) == 0.0


def test_the_template_is_left_out_for_examples_and_code(smollm2, tmp_path: Path):
    for dataset in ("hotpotqa", "trec", "lcc"):
        folder = written(tmp_path, dataset, {"all_classes": ["Ann"]})
        assert sample_of(LongBench(dataset=dataset, data=str(folder)), smollm2).templated == (dataset == "hotpotqa")
    assert sample_of(LongBench(dataset="trec", data=str(tmp_path), template="chat"), smollm2).templated


@pytest.mark.parametrize(
    ("dataset", "output", "references", "score"),
    [
        ("hotpotqa", "the Ann", ["Bob", "Ann"], 1.0),
        ("hotpotqa", "Ann\nBob", ["Ann"], 2 / 3),
        ("triviaqa", "\nAnn\nPassage: more", ["Ann"], 1.0),
        ("samsum", "Ann did it.\nDialogue: Bob", ["Ann did it."], 1.0),
        ("passage_count", "There are 7 of 30", ["7"], 0.5),
        ("passage_count", "seven", ["7"], 0.0),
        ("passage_count", "17", ["7"], 0.0),
        ("passage_retrieval_en", "Paragraph 7, 7", ["Paragraph 7"], 1.0),
        ("passage_retrieval_en", "7 or 8", ["Paragraph 7"], 0.5),
        ("passage_retrieval_en", "Paragraph 17", ["Paragraph 7"], 0.0),
        ("trec", "Individual or Group\nQuestion: Date", ["Group"], 0.5),
        ("trec", "Date", ["Group"], 0.0),
        # A class that is a part of the right one's name is no second answer.
        ("trec", "Group or organization", ["Group or organization"], 1.0),
        ("lcc", "# a comment\n```python\nreturn x\nreturn y", ["return x"], 1.0),
        ("lcc", "// one\n# two", ["return x"], 0.0),
        # As officially, code with a comment behind it is passed over too.
        ("lcc", "return x  # done\nreturn y", ["return x"], 0.88),
        ("repobench-p", "\n\nreturn y", ["return x"], 0.88),
        ("gov_report", "", ["A report."], 0.0),
        ("gov_report", "a report", ["other words", "a report"], 1.0),
    ],
)
def test_answers_are_scored_by_the_rules_of_their_dataset(tiny, tmp_path, dataset, output, references, score):
    classes = ["Individual", "Group", "Group or organization", "Date"]
    folder = written(tmp_path, dataset, {"answers": references, "all_classes": classes})
    task = LongBench(dataset=dataset, data=str(folder))
    assert task.score(output, sample_of(task, tiny[0].tokenizer)) == pytest.approx(score)


def test_longbench_e_and_its_ranges(tiny, tmp_path: Path):
    records = [{"length": words} for words in (3999, 4000, 7999, 8000)]
    folder = written(tmp_path, "qasper", *records, e=True)
    task = LongBench(dataset="qasper", data=str(folder), e=True)
    samples = list(task.samples(tiny[0].tokenizer, [4000]))
    assert [sample.facts["bucket"] for sample in samples] == ["0-4k", "4-8k", "4-8k", "8k+"]
    assert task.name == "longbench-e/qasper"
    with pytest.raises(ConfigError, match="dataset 'qmsum' is not in LongBench-E"):
        LongBench(dataset="qmsum", data=".", e=True)


def test_the_first_records_and_shorter_answers(tiny, tmp_path: Path):
    folder = written(tmp_path, "hotpotqa", *({"_id": name, "input": f"{name}?"} for name in "abc"))
    task = LongBench(dataset="hotpotqa", data=str(folder), limit=2, max_new_tokens=5)
    samples = list(task.samples(tiny[0].tokenizer, [900, 1000]))
    assert [(sample.trial, sample.length, sample.facts["id"]) for sample in samples] == [
        (0, 900, "a"),
        (0, 1000, "a"),
        (1, 900, "b"),
        (1, 1000, "b"),
    ]
    assert {sample.new_tokens for sample in samples} == {5}
    assert samples[0].ids == samples[1].ids
    assert "class 0" not in samples[0].facts
    assert "bucket" not in samples[0].facts


def test_long_inputs_lose_their_middle(tiny, tmp_path: Path):
    context = " ".join(f"word{number}" for number in range(400))
    folder = written(tmp_path, "hotpotqa", {"context": context})
    task = LongBench(dataset="hotpotqa", data=str(folder))
    whole = tiny[0].tokenizer.encode(RULES["hotpotqa"].prompt.format(context=context, input="Who?"))
    for length in (700, 1501):
        sample = sample_of(task, tiny[0].tokenizer, length)
        half = length // 2
        assert list(sample.ids) == whole[:half] + whole[-(length - half) :]
        assert sample.facts["cut"] == len(whole) - length


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"answers": "7"}, "the field 'answers' is missing or no list of texts"),
        ({"answers": []}, "the field 'answers' is empty: an answer or more would be accepted"),
        ({"context": None}, "the field 'context' is missing or no text"),
        ({"answers": ["7"]}, "the field 'answers' names no 'Paragraph' and number"),
    ],
)
def test_bad_files_are_one_sentence(tiny, tmp_path: Path, record, sentence: str):
    task = LongBench(dataset="passage_retrieval_en", data=str(written(tmp_path, "passage_retrieval_en", record)))
    with pytest.raises(ConfigError, match=f"task 'longbench/passage_retrieval_en': line 1 of .*: {sentence}"):
        sample_of(task, tiny[0].tokenizer)


def test_no_class_to_choose_from(tiny, tmp_path: Path):
    task = LongBench(dataset="trec", data=str(written(tmp_path, "trec", {"all_classes": []})))
    with pytest.raises(ConfigError, match=r"line 1 of .*: the field 'all_classes' is empty: a class or more would be"):
        sample_of(task, tiny[0].tokenizer)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="LongBench's files are not at hand")
@pytest.mark.parametrize(("length", "cut"), [(8192, 5), (16384, 0)])
def test_the_real_file(smollm2, length: int, cut: int):
    task = LongBench(dataset="multi_news", data=str(REAL))
    records = [json.loads(line) for line in (REAL / "multi_news.jsonl").read_text(encoding="utf-8").splitlines()]
    samples = list(task.samples(smollm2, [length]))
    assert [sample.trial for sample in samples] == list(range(200))
    assert sum(sample.facts["cut"] > 0 for sample in samples) == cut
    before, after = RULES["multi_news"].prompt.split("{context}")
    for sample, record in zip(samples, records, strict=True):
        assert len(sample.ids) <= length
        assert sample.facts["cut"] == 0 or len(sample.ids) > length - 8
        prompt = smollm2.decode(sample.ids)
        assert before + record["context"][:1500] in prompt
        assert record["context"][-1500:] + after in prompt
    for sample in samples[::20]:
        assert task.score(sample.references[0], sample) == pytest.approx(1.0)
