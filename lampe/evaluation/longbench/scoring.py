"""How LongBench scores an answer (THUDM/LongBench, metrics.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lampe.evaluation.metrics import best, edit_similarity, rouge_l, token_f1

Score = Callable[[str, Sequence[str], Sequence[str]], float]
"""The score of an answer against the references, of which the nearest counts, given the classes of the dataset."""

NUMBER = re.compile(r"\d+")
PARAGRAPH = re.compile(r"Paragraph (\d+)")
NO_CODE = ("`", "#", "//")


def answer_f1(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """F1 of SQuAD's words."""
    return best(token_f1, output, references)


def summary(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """ROUGE-L."""
    return best(rouge_l, output, references)


def classification(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """1/k where the right class is one of k that the answer contains.

    A class whose name is a part of the right one's is not counted beside it.
    """

    def score(output: str, reference: str) -> float:
        named = [name for name in classes if name in output and (name == reference or name not in reference)]
        return 1 / len(named) if reference in named else 0.0

    return best(score, output, references)


def count(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """The share of the answer's numbers that are the right one."""
    return best(_share, output, references)


def retrieval(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """The share of the answer's numbers that are the number of the paragraph."""
    return best(_share, output, [PARAGRAPH.findall(reference)[0] for reference in references])


def code(output: str, references: Sequence[str], classes: Sequence[str]) -> float:
    """Edit similarity of the first line that is neither a comment nor holds a backtick."""
    lines = output.lstrip("\n").split("\n")
    first = next((line for line in lines if not any(mark in line for mark in NO_CODE)), "")
    return best(edit_similarity, first, references)


def _share(output: str, reference: str) -> float:
    numbers = NUMBER.findall(output)
    return numbers.count(reference) / len(numbers) if numbers else 0.0
