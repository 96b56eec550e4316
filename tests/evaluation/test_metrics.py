from __future__ import annotations

import sys

import pytest

from lampe.errors import MissingExtraError
from lampe.evaluation import metrics


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [
        ("The cat sat.", "a cat", 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("cat cat", "cat", 2 / 3),
        ("CAT!", "cat", 1.0),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "a", 0.0),
        ("", "", 0.0),
        ("New York City", "york, new", 0.8),
    ],
)
def test_f1_of_words(output: str, reference: str, score: float):
    assert metrics.token_f1(output, reference) == pytest.approx(score)


def test_the_nearest_reference_counts():
    assert metrics.best(metrics.token_f1, "a red boat", ["blue ship", "red boat", "boat"]) == 1.0
    assert metrics.best(metrics.token_f1, "a red boat", []) == 0.0


def test_rouge_l():
    # Longest common subsequence "the mat": 2 words of 3 and of 4.
    assert metrics.rouge_l("on the mat", "the red old mat") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert metrics.rouge_l("the same words", "the same words") == pytest.approx(1.0)
    for nothing in ("", "...", "\n"):
        assert metrics.rouge_l(nothing, "some words") == 0.0
    assert metrics.google_rouge("on the mat", ["x", "the red old mat"], "rougeL") == pytest.approx(4 / 7)
    assert metrics.google_rouge("", ["x"], "rougeL") == 0.0


@pytest.mark.parametrize(
    ("output", "reference", "score"),
    [("return x", "return x", 1.0), ("return x", "return y", 0.88), ("", "return x", 0.0), ("abc", "xyz", 0.0)],
)
def test_edit_similarity_is_in_whole_per_cent(output: str, reference: str, score: float):
    assert metrics.edit_similarity(output, reference) == score


def test_a_sentence_that_is_too_long_for_rouge_scores_nothing():
    endless = " ".join(f"word{number}" for number in range(3000))
    assert metrics.rouge_l(endless, "quite different words") == 0.0


@pytest.mark.parametrize(
    ("library", "metric", "sentence"),
    [
        ("rouge", metrics.rouge_l, "ROUGE-L needs rouge"),
        ("rapidfuzz", metrics.edit_similarity, "edit similarity needs rapidfuzz"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, library: str, metric, sentence: str):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{sentence}: pip install 'lampe\[benchmarks\]'"):
        metric("a", "a")
