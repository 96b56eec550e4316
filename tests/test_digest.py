"""Digests of code: what changes them, and what they do not see."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from lampe.digest import code_digest
from lampe.positional import RoPE


class Animal:
    """A base that a package brings a class of."""


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module and imports it anew."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(name: str, body: str) -> Any:
        (tmp_path / f"{name}.py").write_text(body)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    for name in made:
        sys.modules.pop(name, None)


def test_the_digest_of_code_changes_with_the_modules_of_a_class_and_its_bases(imported):
    base = imported("ark", "class Beast:\n    legs = 4\n")
    ox = imported("stable", "from ark import Beast\n\nclass Ox(Beast):\n    pass\n").Ox
    digest = code_digest(ox)
    assert (len(digest), code_digest(ox)) == (64, digest)
    assert code_digest(base.Beast) != digest
    # What runs is what was read, until it is imported again.
    edited = imported("ark", "class Beast:\n    legs = 6\n")
    assert code_digest(ox) == digest
    assert code_digest(edited.Beast) != code_digest(base.Beast)
    assert code_digest(imported("stable", "from ark import Beast\n\nclass Ox(Beast):\n    pass\n").Ox) != digest
    imported("ark", "class Beast:\n    legs = 4\n")
    assert code_digest(imported("stable", "from ark import Beast\n\nclass Ox(Beast):\n    pass\n").Ox) == digest


def test_code_without_source_is_told_by_its_package_or_not_at_all(monkeypatch):
    versions = {}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"zoo": ["zoo-animals"]})
    monkeypatch.setattr(metadata, "version", versions.__getitem__)

    def digest(version: str) -> str | None:
        versions["zoo-animals"] = version
        return code_digest(type("Yak", (Animal,), {"__module__": "zoo.big"}))

    assert digest("1.0") == digest("1.0") != digest("1.1")
    assert code_digest(type("Yak", (), {"__module__": "nowhere"})) is None
    assert code_digest(RoPE) is None
