from __future__ import annotations

import json
from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.infinitebench import InfiniteBench
from lampe.evaluation.infinitebench.official import DATASETS

BOOK = " ".join(f"Chapter {number} tells of day {number}." for number in range(400))
OPTIONS = ["grow", "Tree.fell", "Tree.leaf", "root"]
RECORDS = {
    "passkey": {"input": "What is the pass key?", "answer": ["71432"]},
    "number_string": {"input": "What is the sequence of digits?", "answer": ["2200044333"]},
    "kv_retrieval": {
        "input": '\nKey: "ab-1"\nThe value associated with the specified key is: ',
        "answer": ["cd-2"],
    },
    "longbook_sum_eng": {"input": "", "answer": ["Days pass."]},
    "longbook_choice_eng": {"input": "What grows?", "options": OPTIONS, "answer": ["Tree.leaf"]},
    "longbook_qa_eng": {"input": "Which day?", "answer": ["day 7", "7"]},
    "longbook_qa_chn": {"input": "哪一天？", "answer": ["第七天"]},
    "longdialogue_qa_eng": {"input": "", "answer": ["RICK", "RICK BLAINE"]},
    "math_find": {
        "input": "You should answer with only one number, no other words. The second largest number of the list is: ",
        "answer": [97],
    },
    "math_calc": {"input": "", "answer": [[5, 7, 3]]},
    "code_run": {
        "input": "Please give me the exact number of the return value of func_8(-2). Your response should end so.",
        "answer": [-14],
    },
    "code_debug": {"input": "", "options": OPTIONS, "answer": "Tree.fell"},
}
ENDS = {
    "passkey": ("\n\nWhat is the pass key?\n\nThe pass key is", ("71432",), 6),
    "number_string": ("\n\nWhat is the sequence of digits?\n\nThe sequence of digits is", ("2200044333",), 12),
    "kv_retrieval": ('\n\n\nKey: "ab-1"\nThe value associated with the specified key is: ', ("cd-2",), 50),
    "longbook_sum_eng": ("\n\nSummary:", ("Days pass.",), 1200),
    "longbook_choice_eng": (
        "\n\nQuestion: What grows?\nA. grow\nB. Tree.fell\nC. Tree.leaf\nD. root\n\n"
        "The letter of the correct answer is",
        ("Tree.leaf", "C"),
        40,
    ),
    "longbook_qa_eng": ("\n\nQuestion: Which day?\nAnswer:", ("day 7", "7"), 40),
    "longbook_qa_chn": ("\n\n问题：哪一天？\n答案：", ("第七天",), 40),
    "longdialogue_qa_eng": (
        "\n\nThe name that has been replaced with $$MASK$$ is likely",
        ("RICK", "RICK BLAINE"),
        40,
    ),
    "math_find": (
        "\n\nYou should answer with only one number, no other words. The second largest number of the list is: ",
        ("97",),
        3,
    ),
    "math_calc": ("\nValues:", ("5", "7", "3"), 30000),
    "code_run": ("\n\nPlease compute the exact value of func_8(-2). The value of func_8(-2) is", ("-14",), 5),
    "code_debug": (
        "\n\nOptions:\nA. grow\nB. Tree.fell\nC. Tree.leaf\nD. root\n\nThe correct option is:",
        ("Tree.fell", "B"),
        5,
    ),
}
BEGINNINGS = {
    "passkey": "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. I will "
    "quiz you about the important information.\n\n",
    "number_string": "There is an important info hidden inside a lot of irrelevant text. Find it. I will quiz you "
    "about the important information there.\n\n",
    "kv_retrieval": "Extract the value corresponding to the specified key in the JSON object below.\n\n",
    "longbook_sum_eng": "Summarize the book below.\n\n",
    "longbook_choice_eng": "Read the book and answer the question.\n\n",
    "longbook_qa_eng": "Read the book and answer the question. Be very concise in your answer.\n\n",
    "longbook_qa_chn": "阅读以下书籍然后回答问题。\n\n",
    "longdialogue_qa_eng": "Below is a dialogue script where one random occurrence of a character name is replaced "
    'with "$$MASK$$", and you should try to guess who that character is.\n\n',
    "math_find": "What is the second largest number in the following list?\n\n",
    "math_calc": "Let us calculate the intermediate values of an expression.\n\nExpression: 1 + 3 + 4\n"
    "Values: [1, 4, 8]\n\nExpression: 8 - 3 + 2 - 4\nValues: [8, 5, 7, 3]\n\nExpression: ",
    "code_run": "There is a function called func_8 in the following Python code.\n\n",
    "code_debug": "Following is a Python code where exactly one of the functions/methods has a deliberate error that "
    "makes it crash.\n\n",
}


def write(folder: Path, dataset: str, *records: object) -> str:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / f"{dataset}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("dataset", DATASETS)
def test_prompts_are_official_and_lose_their_middle(smollm2, tmp_path: Path, dataset: str):
    # Braces and the word of the template's own place must come through as they are.
    record = {"id": 4, "context": BOOK + " {input} {}", **RECORDS[dataset]}
    data = write(tmp_path, dataset, record, {**record, "id": 5})
    end, references, new_tokens = ENDS[dataset]
    official = BEGINNINGS[dataset] + record["context"] + end
    task = InfiniteBench(dataset=dataset, data=data, template="none")
    assert task.name == f"infinitebench/{dataset}"
    samples = list(task.samples(smollm2, [600, 20000]))
    assert [(sample.trial, sample.facts["id"], sample.length) for sample in samples] == [
        (0, 4, 600),
        (0, 4, 20000),
        (1, 5, 600),
        (1, 5, 20000),
    ]
    assert {(sample.references, sample.new_tokens) for sample in samples} == {(references, new_tokens)}
    short, whole = (smollm2.decode(sample.ids) for sample in samples[:2])
    assert whole == official
    assert samples[1].facts["cut"] == 0
    assert 598 <= len(samples[0].ids) <= 600
    assert short.startswith(BEGINNINGS[dataset] + "Chapter 0 tells")
    assert short.endswith(" {input} {}" + end)
    assert samples[0].facts["cut"] == pytest.approx(len(samples[1].ids) - 600, abs=2)
    # Both ends keep the same number of tokens.
    meet = next(index for index in range(len(short)) if not official.startswith(short[: index + 1]))
    assert len(smollm2.encode(short[:meet])) == pytest.approx(300, abs=16)


def test_the_template_counts(smollm2, tmp_path: Path):
    data = write(tmp_path, "longbook_qa_eng", {"context": BOOK, **RECORDS["longbook_qa_eng"]})
    (sample,) = InfiniteBench(dataset="longbook_qa_eng", data=data).samples(smollm2, [600])
    prompt = smollm2.decode(sample.ids, skip_special=False)
    assert 598 <= len(sample.ids) <= 600
    assert sample.templated
    assert prompt.startswith("<|im_start|>system\n")
    assert prompt.endswith("Question: Which day?\n<|im_end|>\n<|im_start|>assistant\nAnswer:")


def test_a_cut_code_point_is_left_out(tiny, tmp_path: Path):
    tokenizer = tiny[0].tokenizer
    record = {"context": "天地玄黄宇宙洪荒" * 99, **RECORDS["longbook_qa_chn"]}
    task = InfiniteBench(dataset="longbook_qa_chn", data=write(tmp_path, "longbook_qa_chn", record))
    for sample in task.samples(tokenizer, range(400, 406)):
        assert sample.length - 6 <= len(sample.ids) <= sample.length
        assert "\ufffd" not in tokenizer.decode(sample.ids)


def test_limit_and_blank_lines(smollm2, tmp_path: Path):
    record = {"context": "x", **RECORDS["passkey"]}
    data = write(tmp_path, "passkey", {**record, "id": 1}, "", {**record, "id": 2}, {**record, "id": 3})
    for limit, ids in ((2, [1, 2]), (9, [1, 2, 3]), (None, [1, 2, 3])):
        task = InfiniteBench(dataset="passkey", data=data, limit=limit)
        assert [sample.facts["id"] for sample in task.samples(smollm2, [600])] == ids


def test_an_answer_is_scored_by_the_rules_of_its_dataset(smollm2, tmp_path: Path):
    data = write(tmp_path, "code_debug", {"context": "x", **RECORDS["code_debug"]})
    task = InfiniteBench(dataset="code_debug", data=data)
    (sample,) = task.samples(smollm2, [600])
    assert [task.score(output, sample) for output in ("B.", "C.")] == [1, 0]


@pytest.mark.parametrize(
    ("dataset", "record", "message"),
    [
        ("passkey", {"context": "x", "input": "y"}, ": the field 'answer' is neither text nor number nor a list"),
        ("passkey", {"context": "x", "answer": ["1"]}, ": the field 'input' is missing or no text"),
        ("passkey", {"context": 3, "input": "y", "answer": ["1"]}, ": the field 'context' is missing or no text"),
        ("passkey", "{", " is no JSON: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)"),
        ("passkey", [1], " holds a JSON list: an object would be accepted"),
        (
            "code_run",
            {"context": "x", "input": "y", "answer": [1]},
            ": the field 'input' names no call such as func_1(-2)",
        ),
        (
            "math_find",
            {"context": "x", "input": "y", "answer": [1]},
            ": the field 'input' does not ask for 'The ... of'",
        ),
        (
            "math_find",
            {"context": "x", "input": "The sum of", "answer": ["ninety"]},
            ": the field 'answer' is 'ninety': a number would be accepted",
        ),
        (
            "passkey",
            {"id": [7], "context": "x", "input": "y", "answer": ["1"]},
            ": the field 'id' is neither text nor number",
        ),
        (
            "passkey",
            {"id": None, "context": "x", "input": "y", "answer": ["1"]},
            ": the field 'id' is neither text nor number",
        ),
        (
            "code_debug",
            {"context": "x", "options": ["a", "b"], "answer": "a"},
            ": the field 'options' has 2 texts; four are expected",
        ),
        (
            "code_debug",
            {"context": "x", "options": OPTIONS, "answer": "tree"},
            ": the field 'answer' is none of its options",
        ),
    ],
)
def test_what_is_wrong_with_a_file(smollm2, tmp_path: Path, dataset: str, record: object, message: str):
    data = write(tmp_path, dataset, record)
    with pytest.raises(ConfigError) as error:
        list(InfiniteBench(dataset=dataset, data=data).samples(smollm2, [600]))
    where = f"task 'infinitebench/{dataset}': line 1 of {tmp_path / dataset}.jsonl"
    assert str(error.value) == f"{where}{message}"


def test_missing_files(smollm2, tmp_path: Path):
    for data, message in (
        (tmp_path, "the folder holds no passkey.jsonl"),
        (tmp_path / "no", "there is no such folder"),
    ):
        with pytest.raises(ConfigError) as error:
            list(InfiniteBench(dataset="passkey", data=str(data)).samples(smollm2, [600]))
        assert str(error.value) == f"task 'infinitebench/passkey': data = {str(data)!r}: {message}"


def test_a_question_that_does_not_survive(smollm2, tmp_path: Path):
    record = {"context": BOOK, "input": "why " * 200, "answer": ["x"]}
    data = write(tmp_path, "longbook_qa_eng", record)
    with pytest.raises(
        ConfigError, match=r"line 1 of .*: a prompt of 300 tokens is too short for the question, which alone"
    ):
        list(InfiniteBench(dataset="longbook_qa_eng", data=data).samples(smollm2, [300]))
    with pytest.raises(ConfigError, match="a prompt of 30 tokens has no room for the text it is about"):
        list(InfiniteBench(dataset="longbook_qa_eng", data=data).samples(smollm2, [30]))


@pytest.mark.parametrize("fields", [{}, {"dataset": "passkey"}, {"dataset": "book", "data": "x"}])
def test_dataset_and_data_must_be_given(fields: dict):
    with pytest.raises(ConfigError, match=r"'(dataset|data)' is missing|dataset = 'book'"):
        InfiniteBench(**fields)
