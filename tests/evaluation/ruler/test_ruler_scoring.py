from __future__ import annotations

import pytest

from lampe.evaluation.ruler.scoring import any_found, share_found


@pytest.mark.parametrize(
    ("output", "references", "share", "found"),
    [
        ("Paris, and LYON", ("paris", "Lyon"), 1.0, 1.0),
        ("paris", ("Paris", "Lyon", "Nice", "Brest"), 0.25, 1.0),
        ("Par is", ("Paris",), 0.0, 0.0),
        ("the apparition", ("Paris", "pari"), 0.5, 1.0),
        ("", ("a", "b"), 0.0, 0.0),
        ("ABCDE abcde", ("abcde", "ABCDE", "x"), 2 / 3, 1.0),
    ],
)
def test_references_are_looked_for_without_case(output: str, references: tuple[str, ...], share: float, found: float):
    assert share_found(output, references) == share
    assert any_found(output, references) == found
