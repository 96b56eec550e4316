"""The shared matrix: every method against every property, on random plans."""

from __future__ import annotations

import pytest

from lampe.positional import registry
from lampe.testing import CASES, PROPERTIES, run

# The large properties take a second a method: without -m slow they are tried on LaMPE alone.
CELLS = [
    pytest.param(name, column.name, marks=[pytest.mark.slow] if column.fixed and name != "lampe" else [])
    for name in CASES
    for column in PROPERTIES.values()
]


@pytest.mark.parametrize(("name", "column"), CELLS)
def test_matrix(name: str, column: str, record_property) -> None:
    tried = run(CASES[name], PROPERTIES[column])
    assert tried, f"{name} could map none of the lengths that were drawn"
    record_property("plans", tried)


def test_every_method_has_a_row() -> None:
    own = {entry.name for entry in registry.entries() if entry.cls.__module__.startswith("lampe.")}
    assert own == {case.example.name for case in CASES.values()}
