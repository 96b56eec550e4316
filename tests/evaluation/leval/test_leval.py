from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.leval import LEval
from lampe.evaluation.leval import scoring as by
from lampe.evaluation.leval.datasets import CLOSED, SYSTEM, SYSTEM_EXAM, SYSTEM_OPEN

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "leval"
SIZES = {"coursera": (15, 172), "gsm100": (100, 100), "quality": (15, 202), "sci_fi": (7, 64), "tpo": (15, 269)}


def written(folder: Path, dataset: str, **fields: Any) -> Path:
    plain = {"input": "A long story.", "instructions": ["Who?"], "outputs": ["A"], "source": "s", "evaluation": "exam"}
    (folder / f"{dataset}.jsonl").write_text(json.dumps({**plain, **fields}))
    return folder


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [
        ("B", "B", 1.0),
        ("(B) Because", "(B) Because it is", 1.0),
        ("b", "B", 0.0),
        ("The answer is C.", "C", 1.0),
        ("\n\nC", "C", 1.0),
        # The first capital letter from A to D counts, wherever it stands, as officially.
        ("Dogs bark: C", "C", 0.0),
        ("Answer: B", "B", 0.0),
        ("Answer: B", "A", 1.0),
        ("BC", "B", 1.0),
        ("none", "A", 1.0),
        ("none", "B", 0.0),
        ("", "A", 0.0),
        (" \n", "A", 0.0),
    ],
)
def test_one_option(output: str, reference: str, score: float):
    assert by.one_option(output, [reference]) == score


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [
        ("AB", "AB", 1.0),
        ("BA", "AB", 1.0),
        ("A", "AB", 0.25),
        ("AC", "AB", 0.0),
        ("ABC", "AB", 0.0),
        ("A. B. and D.", "ABD", 1.0),
        ("A) and C)", "AC", 1.0),
        ("B\nA.\nQuestion 2: C.", "AB", 1.0),
        ("The options are B. and D.", "BD", 1.0),
        ("D", "D", 1.0),
        # Behind other words only letters that a mark follows count, but the A of "Answer" begins the text.
        ("It is B.", "B", 1.0),
        ("It is B", "B", 0.0),
        ("Answer: B.", "B", 0.0),
        ("Answer: B.", "AB", 1.0),
        ("ab", "AB", 0.25),
        ("A and B", "AB", 0.25),
        ("nothing", "A", 1.0),
        ("nothing", "AB", 0.25),
        ("nothing", "B", 0.0),
        ("", "A", 0.0),
    ],
)
def test_several_options(output: str, reference: str, score: float):
    assert by.several_options(output, [reference]) == score


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [
        ("2 + 2 = 4. The answer is 4", "4", 1.0),
        ("The answer is $1,430.", "1430", 1.0),
        ("The answer is 18.00 dollars", "18", 1.0),
        ("$18.00", "18", 1.0),
        ("The answer is 1,430,000", "1430000", 1.0),
        ("The answer is 5. Then The answer is 6", "5", 1.0),
        # As officially, a sign is passed over and a fraction cut off.
        ("The answer is -18", "18", 1.0),
        ("The answer is 18.75", "18", 1.0),
        ("so she has 12 and then 18 apples", "18", 1.0),
        ("He has 18.\n\nQuestion: 7", "18", 1.0),
        ("The answer is eighteen", "18", 0.0),
        ("no number", "18", 0.0),
        ("180", "18", 0.0),
        ("", "18", 0.0),
    ],
)
def test_the_number_of_an_answer(output: str, reference: str, score: float):
    assert by.number(output, [reference]) == score


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("True.", 1.0),
        ("it is true", 1.0),
        ("untrue", 1.0),
        ("False/True", 1.0),
        ("False, not true", 0.0),
        ("maybe", 0.0),
        ("", 0.0),
    ],
)
def test_true_or_false(output: str, score: float):
    assert by.judgement(output, ["true"]) == score


def test_open_answers_are_scored_by_the_metric_of_the_file():
    assert by.open_answer("the cat", ["cat"], "f1") == 1.0
    assert by.open_answer("on the mat", ["the red old mat"], "rouge") == pytest.approx(4 / 7)
    assert by.open_answer("on the mat", ["the red old mat"], "LLM") == pytest.approx(4 / 7)


def prompts_of(tiny, folder: Path, dataset: str, **fields: Any) -> list[str]:
    task = LEval(dataset=dataset, data=str(written(folder, dataset, **fields)))
    return [tiny[0].tokenizer.decode(sample.ids) for sample in task.samples(tiny[0].tokenizer, [3000])]


def test_prompts_are_the_official_ones(tiny, tmp_path: Path):
    after = "A long story. \nQuestion: Who?.  Please directly give answer without any additonal output or explanation "
    assert prompts_of(tiny, tmp_path, "coursera") == [f"{SYSTEM['coursera']}Document is as follows. {after}\nAnswer:"]
    assert prompts_of(tiny, tmp_path, "tpo") == [f"{SYSTEM_EXAM}Document is as follows. {after}\nAnswer:"]
    assert prompts_of(tiny, tmp_path, "gsm100", outputs=["18"]) == [f"{SYSTEM['gsm100']}A long story.\n\nWho?"]
    (asked,) = prompts_of(tiny, tmp_path, "news_summ", outputs=["three words here"], evaluation="rouge")
    assert asked == (
        f"{SYSTEM_OPEN}Document is as follows. A long story. Instruction: Who? \nAnswer this question with 3 words."
    )


def test_science_fiction_is_asked_of_its_world_and_of_the_real_one(tiny, tmp_path: Path):
    statement = "Cats fly, True or False? Answer this question based on the world described in the document."
    fields = {"instructions": [statement], "outputs": ["True [fact: False]"]}
    task = LEval(dataset="sci_fi", data=str(written(tmp_path, "sci_fi", **fields)))
    of_document, of_world = task.samples(tiny[0].tokenizer, [3000])
    assert (of_document.references, of_world.references) == (("true",), ("false",))
    assert tiny[0].tokenizer.decode(of_world.ids) == (
        "Cats fly, True or False? Answer this question based on the real-world knowledge and facts up until your last "
        "training\nAnswer:"
    )
    assert [task.score("It is false.", sample) for sample in (of_document, of_world)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("dataset", "output", "accepted"),
    [
        ("coursera", "", "letters from A to D"),
        ("gsm100", "eighteen", "a number"),
        ("quality", "none", "a letter from A to D"),
        ("tpo", "AB", "a letter from A to D"),
        ("sci_fi", "maybe", r"the form 'True \[fact: False\]'"),
        ("sci_fi", "True", r"the form 'True \[fact: False\]'"),
    ],
)
def test_references_that_no_answer_matches_are_refused(tiny, tmp_path: Path, dataset: str, output: str, accepted: str):
    with pytest.raises(ConfigError, match=f"line 1 of .*: the output '{output}' holds no answer: {accepted} would be"):
        prompts_of(tiny, tmp_path, dataset, outputs=[output])


def test_documents_lose_their_middle_alike_for_all_questions(tiny, tmp_path: Path):
    story = " ".join(f"word{number}" for number in range(500))
    questions = ["Why?", "Who?", "What on earth was that?", "How?"]
    fields = {"input": story, "instructions": questions, "outputs": ["A"] * 4}
    task = LEval(dataset="tpo", data=str(written(tmp_path, "tpo", **fields)))
    tokenizer = tiny[0].tokenizer
    samples = list(task.samples(tokenizer, [1500]))
    assert [len(sample.ids) for sample in samples] == [1481, 1481, 1481, 1500]
    assert [sample.facts["question"] for sample in samples] == [0, 1, 3, 2]
    begin = tokenizer.decode(samples[0].ids[: samples[0].shared])
    assert begin.startswith(SYSTEM_EXAM + "Document is as follows. word0 word1")
    assert begin.endswith("word499 \nQuestion: ")
    assert [sample.shared for sample in samples] == [samples[0].shared] * 3 + [0]
    assert all(tokenizer.decode(sample.ids).startswith(begin) for sample in samples)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"instructions": ["a", "b"]}, "2 instructions, but 1 outputs"),
        ({"instructions": [], "outputs": []}, "the field 'instructions' is empty"),
        ({"input": 3}, "the field 'input' is missing or no text"),
        ({"outputs": [1]}, "the field 'outputs' is missing or no list of texts"),
    ],
)
def test_bad_files_are_one_sentence(tiny, tmp_path: Path, fields, sentence: str):
    with pytest.raises(ConfigError, match=f"task 'leval/tpo': line 1 of .*tpo.jsonl: {sentence}"):
        prompts_of(tiny, tmp_path, "tpo", **fields)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="L-Eval's files are not at hand")
@pytest.mark.parametrize("dataset", CLOSED)
def test_the_real_files(smollm2, dataset: str):
    task = LEval(dataset=dataset, data=str(REAL))
    by_length = defaultdict(list)
    for sample in task.samples(smollm2, [8192, 16384]):
        by_length[sample.length].append(sample)
    lines = [json.loads(line) for line in (REAL / f"{dataset}.jsonl").read_text().splitlines()]
    documents, questions = SIZES[dataset]
    for length, samples in by_length.items():
        assert len({sample.trial for sample in samples}) == documents
        assert len(samples) == questions * (2 if dataset == "sci_fi" else 1)
        for sample in samples:
            assert len(sample.ids) <= length
            if sample.facts["cut"]:
                assert len(sample.ids) > length - 400
            source, number = lines[sample.trial], sample.facts["question"]
            # The official answers themselves; those of sci_fi hold both judgements.
            of_document, _, of_world = source["outputs"][number].partition("[fact:")
            assert task.score(of_world if "world" in sample.facts else of_document, sample) == 1.0
            if "world" not in sample.facts:
                question = source["instructions"][number].strip()
                assert source["input"][:200].strip() in smollm2.decode(sample.ids[:300])
                assert question in smollm2.decode(sample.ids[-len(question) - 100 :])
