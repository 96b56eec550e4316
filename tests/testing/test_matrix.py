"""The shared matrix: every method against every property, on random plans."""

from __future__ import annotations

import pytest

from lampe.positional import registry
from lampe.testing import CASES, PROPERTIES, run


@pytest.mark.parametrize("column", PROPERTIES)
@pytest.mark.parametrize("name", CASES)
def test_matrix(name: str, column: str, record_property) -> None:
    tried = run(CASES[name], PROPERTIES[column])
    assert tried, f"{name} could map none of the lengths that were drawn"
    record_property("plans", tried)


def test_every_method_has_a_row() -> None:
    own = {entry.name for entry in registry.entries() if entry.cls.__module__.startswith("lampe.")}
    assert own == {case.example.name for case in CASES.values()}
