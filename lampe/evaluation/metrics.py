"""Scores of an answer that several benchmarks share, from 0 to 1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from lampe.errors import MissingExtraError

Metric = Callable[[str, str], float]
"""The score of an answer against one reference."""

ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def best(metric: Metric, output: str, references: Sequence[str]) -> float:
    """The score against the reference that is nearest."""
    return max((metric(output, reference) for reference in references), default=0.0)


def words(text: str) -> list[str]:
    """The words that SQuAD compares: in lower case, without punctuation and articles."""
    return ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split()


def bag_f1(found: Sequence[str], right: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of two bags; 0 where they share nothing, also where both are empty."""
    same = (Counter(found) & Counter(right)).total()
    return 2 * same / (len(found) + len(right)) if same else 0.0


def token_f1(output: str, reference: str) -> float:
    """F1 of SQuAD's words."""
    return bag_f1(words(output), words(reference))


def rouge_l(output: str, reference: str) -> float:
    """ROUGE-L by the package `rouge`, as LongBench reports it: of sentences cut at full stops, without stemming.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        from rouge import Rouge
    except ImportError:
        raise MissingExtraError("rouge", "benchmarks", "ROUGE-L") from None
    try:
        return float(Rouge(metrics=["rouge-l"]).get_scores(output, reference)[0]["rouge-l"]["f"])
    except (ValueError, RecursionError):
        # An answer without a word, or a thousand words without a full stop: the package recurses over the words of a
        # sentence. LongBench scores both 0.
        return 0.0


def google_rouge(output: str, references: Sequence[str], kind: str) -> float:
    """ROUGE by Google's `rouge-score`, against the nearest reference, without stemming.

    Args:
        output: the answer.
        references: at least one.
        kind: "rougeL" of the whole text, "rougeLsum" by lines.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingExtraError("rouge-score", "benchmarks", "ROUGE") from None
    return float(RougeScorer([kind]).score_multi(references, output)[kind].fmeasure)


def edit_similarity(output: str, reference: str) -> float:
    """1 less the insertions and deletions between two texts, relative to their lengths; in whole per cent.

    So does fuzzywuzzy with python-Levenshtein, which LongBench uses; without that it falls back to difflib.

    Raises:
        MissingExtraError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz import fuzz
    except ImportError:
        raise MissingExtraError("rapidfuzz", "benchmarks", "edit similarity") from None
    # fuzzywuzzy rounds.
    return round(fuzz.ratio(output, reference)) / 100
