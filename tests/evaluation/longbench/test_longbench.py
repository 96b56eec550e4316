from __future__ import annotations

import json
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


def test_prompts_are_the_official_ones():
    assert RULES["qasper"].prompt == (
        "You are given a scientific article and a question. Answer the question as concisely as you can, using a "
        "single phrase or sentence if possible. If the question cannot be answered based on the information in the "
        'article, write "unanswerable". If the question is a yes/no question, answer "yes", "no", or "unanswerable". '
        "Do not provide any explanation.\n\nArticle: {context}\n\n Answer the question based on the above article as "
        "concisely as you can, using a single phrase or sentence if possible. If the question cannot be answered based "
        'on the information in the article, write "unanswerable". If the question is a yes/no question, answer "yes", '
        '"no", or "unanswerable". Do not provide any explanation.\n\nQuestion: {input}\n\nAnswer:'
    )
    assert RULES["narrativeqa"].prompt == (
        "You are given a story, which can be either a novel or a movie script, and a question. Answer the question as "
        "concisely as you can, using a single phrase if possible. Do not provide any explanation.\n\nStory: {context}"
        "\n\nNow, answer the question based on the story as concisely as you can, using a single phrase if possible. "
        "Do not provide any explanation.\n\nQuestion: {input}\n\nAnswer:"
    )


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
        ("trec", "Individual or Group\nQuestion: Date", ["Group"], 0.5),
        ("trec", "Date", ["Group"], 0.0),
        # A class that is a part of the right one's name is no second answer.
        ("trec", "Group or organization", ["Group or organization"], 1.0),
        ("lcc", "# a comment\n```python\nreturn x\nreturn y", ["return x"], 1.0),
        ("lcc", "// one\n# two", ["return x"], 0.0),
        ("repobench-p", "\n\nreturn y", ["return x"], 0.88),
        ("gov_report", "", ["A report."], 0.0),
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


@pytest.mark.skipif(not REAL.is_dir(), reason="LongBench's files are not at hand")
@pytest.mark.parametrize("length", [8192, 16384])
def test_the_real_file(smollm2, length: int):
    task = LongBench(dataset="multi_news", data=str(REAL))
    samples = list(task.samples(smollm2, [length]))
    assert len(samples) == 200
    assert [sample.trial for sample in samples] == list(range(200))
    for sample in samples:
        assert len(sample.ids) <= length
        assert (sample.facts["cut"] > 0) == (len(sample.ids) > length - 8)
    for sample in samples[::20]:
        assert task.score(sample.references[0], sample) == pytest.approx(1.0)
    longest = max(samples, key=lambda sample: sample.facts["cut"])
    prompt = smollm2.decode(longest.ids)
    assert "You are given several news passages." in prompt
    assert "write a one-page summary of all the news.\n\nSummary:" in prompt
