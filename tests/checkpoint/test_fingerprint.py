from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lampe.checkpoint import fingerprint
from lampe.errors import CheckpointError
from tests.checkpoints import make


def test_a_fingerprint_tells_checkpoints_apart_and_not_their_places(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    make("llama-tied", first)
    shutil.copytree(first, second)
    known = fingerprint(first)
    assert fingerprint(second) == known
    assert len(known) == 64

    weights = second / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20000] = bytes(20000)
    weights.write_bytes(content)
    assert fingerprint(second) != known

    shutil.copy(first / "model.safetensors", weights)
    assert fingerprint(second) == known
    (second / "config.json").write_text((first / "config.json").read_text() + "\n")
    assert fingerprint(second) != known


def test_a_folder_that_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        fingerprint(tmp_path)
