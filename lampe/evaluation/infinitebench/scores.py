"""How InfiniteBench scores an answer, by dataset (OpenBMB/InfiniteBench, src/compute_scores.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Score = Callable[[str, Sequence[str]], float]
"""The score, from 0 to 1, of an answer against the references."""

VALUE_ENDS = str.maketrans(dict.fromkeys("\n:\"'.,?!{}", " "))


def kv_retrieval(output: str, references: Sequence[str]) -> float:
    """1 if the value is one of the words."""
    return float(references[0] in output.translate(VALUE_ENDS).split())


SCORES: Mapping[str, Score] = {"kv_retrieval": kv_retrieval}
