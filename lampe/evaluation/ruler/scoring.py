"""How RULER scores the text of an answer."""

from __future__ import annotations

from collections.abc import Sequence


def share_found(output: str, references: Sequence[str]) -> float:
    """The share of the references that the output contains, case ignored ("string_match_all")."""
    return sum(_contains(output, reference) for reference in references) / len(references)


def any_found(output: str, references: Sequence[str]) -> float:
    """1 where the output contains one of the references, case ignored, else 0 ("string_match_part")."""
    return float(any(_contains(output, reference) for reference in references))


def _contains(output: str, reference: str) -> bool:
    return reference.lower() in output.lower()
