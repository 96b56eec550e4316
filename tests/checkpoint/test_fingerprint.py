from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lampe import LLM
from lampe.checkpoint import fingerprint, save_checkpoint
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
    config = json.loads((first / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"use_cache": False, "eos_token_id": 5}))
    assert fingerprint(second) == known
    (second / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 2e-6}))
    assert fingerprint(second) != known


@pytest.mark.parametrize("max_shard_bytes", [10**9, 20_000])
def test_a_saved_model_has_the_fingerprint_of_its_checkpoint(tmp_path: Path, max_shard_bytes: int):
    make("qwen2", tmp_path / "first")
    llm = LLM.load(tmp_path / "first", tokenizer=False)
    save_checkpoint(llm.model.state_dict(), llm.config, tmp_path / "second", max_shard_bytes=max_shard_bytes)
    assert len(list((tmp_path / "second").glob("*.safetensors"))) > (max_shard_bytes < 10**9)
    assert fingerprint(tmp_path / "second") == fingerprint(tmp_path / "first")


def test_a_folder_that_is_no_checkpoint(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        fingerprint(tmp_path)
