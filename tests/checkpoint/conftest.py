"""The folders that most tests of this package break in some way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import make


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """A small Llama 3 checkpoint with one weight file."""
    make("llama3", tmp_path)
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """The same in shards."""
    make("llama3", tmp_path, sharded=True)
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    return tmp_path
