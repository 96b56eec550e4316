"""Models for the tests of the harness; without it they are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integrations import harness


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose tokenizer adds no BOS."""
    return harness.make(tmp_path_factory.mktemp("harness"))


@pytest.fixture(scope="session")
def bos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose tokenizer adds BOS."""
    return harness.make(tmp_path_factory.mktemp("harness-bos"), bos=True)


@pytest.fixture(scope="session")
def reference(folder: Path) -> Any:
    """The harness's own model, four requests at once."""
    return harness.reference(folder, batch_size=4)
