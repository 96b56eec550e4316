from __future__ import annotations

import sys

import pytest

from lampe.errors import MissingExtraError
from lampe.evaluation.infinitebench.official import DATASETS, RULES
from lampe.evaluation.infinitebench.scores import SCORES


def test_each_dataset_has_its_rules_and_its_score():
    assert set(RULES) == set(SCORES) == set(DATASETS)
    assert {name: rules.new_tokens for name, rules in RULES.items()} == {
        "passkey": 6,
        "number_string": 12,
        "kv_retrieval": 50,
        "longbook_sum_eng": 1200,
        "longbook_choice_eng": 40,
        "longbook_qa_eng": 40,
        "longbook_qa_chn": 40,
        "longdialogue_qa_eng": 40,
        "math_find": 3,
        "math_calc": 30000,
        "code_run": 5,
        "code_debug": 5,
    }


@pytest.mark.parametrize("dataset", DATASETS)
def test_nothing_scores_nothing(dataset: str):
    references = ("name", "B") if dataset in ("longbook_choice_eng", "code_debug") else ("7",)
    for output in ("", " \n", "..."):
        assert SCORES[dataset](output, references) == 0


@pytest.mark.parametrize("dataset", ["passkey", "number_string"])
@pytest.mark.parametrize(
    ("output", "score"),
    [
        (" 01234.", 1),
        ("key01234x", 1),
        ("-01234", 1),
        ("01234.5", 1),
        ("01234 or 99", 1),
        ("1234", 0),
        ("012345", 0),
        ("99 or 01234", 0),
        ("01,234", 0),
        ("no number", 0),
    ],
)
def test_the_first_integer(dataset: str, output: str, score: int):
    assert SCORES[dataset](output, ("01234",)) == score


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [
        (" 94", "94", 1),
        ("94]", "94", 1),
        ("x94y", "94", 1),
        ("-94", "94", 1),
        ("094", "94", 1),
        ("94.0", "94", 0),
        ("9", "94", 0),
        ("The 2nd is 94", "94", 0),
        ("49.5", "49.5", 1),
        ("49", "49.5", 0),
        ("50", "50.0", 1),
        ("50.0", "50.0", 1),
        (".5", "5", 1),
        ("none", "94", 0),
    ],
)
def test_the_first_number(output: str, reference: str, score: int):
    assert SCORES["math_find"](output, (reference,)) == score


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (" [8, 5, 7, 3]", 1),
        ("8 5 7 3 99", 1),
        ("8, 5, 7", 2 / 3),
        ("8, 5, 9, 3", 1 / 3),
        ("8, 6, 7, 3", 0),
        # The number that the list begins with is not looked at.
        ("1, 5, 7, 3", 1),
        ("5, 7, 3", 0),
        ("8, -5, 07, 3", 1),
        ("8", 0),
        ("none", 0),
    ],
)
def test_the_values_before_the_first_wrong_one(output: str, score: float):
    assert SCORES["math_calc"](output, ("5", "7", "3")) == pytest.approx(score)


LONG = "7" * 5000
"""More digits than Python makes an int of."""


@pytest.mark.parametrize(
    ("dataset", "output", "references", "score"),
    [
        ("math_find", LONG, ("94",), 0),
        ("math_find", LONG, ("94.5",), 0),
        ("math_find", "0" * 5000 + "94", ("94",), 1),
        ("math_calc", f"8, 5, {LONG}, 3", ("5", "7", "3"), 1 / 3),
        ("math_calc", f"{LONG}, 5, 7, 3", ("5", "7", "3"), 1),
        ("code_run", LONG, ("-14",), 0),
        ("passkey", LONG, ("01234",), 0),
    ],
)
def test_a_number_without_end_is_only_wrong(dataset: str, output: str, references: tuple[str, ...], score: float):
    assert SCORES[dataset](output, references) == pytest.approx(score)


@pytest.mark.parametrize("reference", ["ninety", "n.a.", "1e3", ""])
def test_a_reference_that_is_no_plain_number_is_met_by_none(reference: str):
    assert SCORES["math_find"]("94", (reference,)) == 0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        (" -14.", 1),
        ("func_3(2) = -14", 1),
        ("3 - 17 is:\n`-14`", 1),
        ("-14\n\n", 1),
        ("14", 0),
        ("- 14", 0),
        ("-14 exactly", 0),
        ("x=-14", 0),
        ("-14.0", 0),
        ("-14,", 0),
        ("none", 0),
    ],
)
def test_the_last_word_is_the_integer(output: str, score: int):
    assert SCORES["code_run"](output, ("-14",)) == score


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("B", 1),
        (" B. Poyser", 1),
        ("B or maybe so", 1),
        ("not A, but B", 1),
        ("Mrs. Poyser", 1),
        ("(B)", 1),
        # The first letter counts whatever follows it.
        ("Because", 1),
        ("BC", 1),
        ("Afterwards", 0),
        ("A", 0),
        ("A. B is wrong, it is C", 0),
        ("C\nB", 0),
        ("the answer is Mrs Poyser", 0),
        ("I think the answer is: Hetty", 0),
        ("answer:", 0),
        ("b", 0),
    ],
)
def test_the_letter_of_a_book_question(output: str, score: int):
    assert SCORES["longbook_choice_eng"](output, ("Mrs. Poyser", "B")) == score


def test_an_option_after_the_opening():
    assert SCORES["longbook_choice_eng"]("i say the answer is: Hetty Sorrel", ("Hetty", "B")) == 1
    assert SCORES["longbook_choice_eng"]("i say the answer is", ("Hetty", "B")) == 0


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("B", 1),
        ("B.", 1),
        (" B: Tree.grow", 1),
        ("A is fine, so B", 1),
        ("Tree.grow", 1),
        ("`Tree.grow` is it", 0),
        ("it is: Tree.grow", 1),
        ("the answer is: Tree.grow", 1),
        # The first letter counts whatever follows it.
        ("Because of it", 1),
        ("A", 0),
        ("B or E", 1),
        ("A or E", 0),
        ("maybe Tree.grow", 0),
        ("the answer is:", 0),
        ("b", 0),
    ],
)
def test_the_letter_of_a_bug(output: str, score: int):
    assert SCORES["code_debug"](output, ("Tree.grow", "B")) == score


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ("The Red House!", 1),
        ("a red, red house", 4 / 5),
        ("house", 2 / 3),
        ("in Rome", 1),
        ("Paris", 0),
        ("the a an", 0),
    ],
)
def test_words_of_a_book_answer(output: str, score: float):
    assert SCORES["longbook_qa_eng"](output, ("red house", "In Rome.")) == pytest.approx(score)


@pytest.mark.parametrize(
    ("output", "score"),
    [("林黛玉", 1), ("“林黛玉”。", 1), ("黛 玉", 4 / 5), ("是林黛玉", 6 / 7), ("宝钗", 0), ("》", 0)],
)
def test_characters_of_a_chinese_answer(output: str, score: float):
    assert SCORES["longbook_qa_chn"](output, ("林黛玉", "颦儿")) == pytest.approx(score)


@pytest.mark.parametrize(
    ("output", "score"),
    [(" rick.", 1), ("RICK BLAINE", 1), ("Patrick", 1), ("Ilsa", 1), ("Ric k", 0), ("Victor", 0)],
)
def test_a_name_in_the_answer(output: str, score: int):
    assert SCORES["longdialogue_qa_eng"](output, ("RICK", "Ilsa")) == score


def test_summaries_line_by_line():
    pytest.importorskip("rouge_score")
    score = SCORES["longbook_sum_eng"]
    assert score("The cat sat.\nIt slept.", ("It slept.\nThe cat sat.",)) == 1
    # Words found: the cat; 2 of 2 and 2 of 3.
    assert score("the cat", ("the cat sat",)) == pytest.approx(0.8)
    assert score("cats", ("cat",)) == 0
    assert score("the cat", ("a dog", "the cat")) == 1


def test_summaries_need_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MissingExtraError, match=r"ROUGE needs rouge-score: pip install 'lampe\[benchmarks\]'"):
        SCORES["longbook_sum_eng"]("a", ("a",))
