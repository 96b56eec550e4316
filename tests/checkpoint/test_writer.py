"""What is saved is what transformers and lampe load, and nothing is ever left half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from lampe.checkpoint import load_weights, read_config, save_checkpoint, writer
from lampe.errors import CheckpointError, ConfigError
from tests.checkpoint.loading import CPU, EMBEDDING, HEAD, empty, load
from tests.checkpoints import VARIANTS, make

IDS = torch.randint(0, 256, (2, 160), generator=torch.Generator().manual_seed(3))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("in_shards", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_transformers_loads_it_with_equal_logits(name: str, in_shards: bool, tmp_path: Path) -> None:
    theirs = make(name, tmp_path / "theirs")
    config = read_config(tmp_path / "theirs")
    limit = 100_000 if in_shards else 10**9
    save_checkpoint(load(tmp_path / "theirs"), config, tmp_path / "ours", max_shard_bytes=limit)
    assert ("model.safetensors.index.json" in names(tmp_path / "ours")) == in_shards
    reread = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert torch.equal(reread(IDS, use_cache=False).logits, theirs(IDS, use_cache=False).logits)
    assert read_config(tmp_path / "ours") == config
    for key, tensor in load(tmp_path / "ours").items():
        assert torch.equal(tensor, theirs.state_dict()[key]), key


def test_shards_hold_what_the_index_says_and_no_more_than_they_may(single: Path, tmp_path: Path) -> None:
    state = load(single)
    save_checkpoint(state, read_config(single), tmp_path / "out", max_shard_bytes=70_000)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state.values())
    assert index["weight_map"].keys() == state.keys()
    shards = sorted(set(index["weight_map"].values()))
    assert shards == [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    for shard in shards:
        with safe_open(tmp_path / "out" / shard, "pt") as file:
            assert file.metadata() == {"format": "pt"}
            assert set(file.keys()) == {key for key, place in index["weight_map"].items() if place == shard}
            assert len(file.keys()) == 1 or sum(state[key].nbytes for key in file.keys()) <= 70_000  # noqa: SIM118


def test_a_model_may_be_saved_over_the_files_it_maps(single: Path) -> None:
    model = empty(single)
    load_weights(model, single, dtype=torch.float32, device=CPU)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    save_checkpoint(model.state_dict(), model.config, single, max_shard_bytes=100_000)
    assert "model.safetensors" not in names(single)
    assert all(torch.equal(tensor, before[key]) for key, tensor in load(single).items())
    save_checkpoint(load(single), model.config, single)
    kept = [name for name in names(single) if "safetensors" in name]
    assert kept == ["model.safetensors"]
    assert all(torch.equal(tensor, before[key]) for key, tensor in load(single).items())


def test_config_json_states_the_dtype_of_the_weights(single: Path, tmp_path: Path) -> None:
    save_checkpoint(load(single, torch.bfloat16), read_config(single), tmp_path / "half")
    assert json.loads((tmp_path / "half" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_strided_and_shared_tensors(single: Path, tmp_path: Path) -> None:
    state = load(single)
    expected = state[EMBEDDING].clone()
    state |= {EMBEDDING: expected.T.contiguous().T, HEAD: state[EMBEDDING]}
    state["model.norm.weight"] = state["model.layers.0.input_layernorm.weight"]
    save_checkpoint(state, read_config(single), tmp_path / "out")
    saved = load(tmp_path / "out")
    assert torch.equal(saved[EMBEDDING], expected)
    assert torch.equal(saved[HEAD], expected)
    assert torch.equal(saved["model.norm.weight"], saved["model.layers.0.input_layernorm.weight"])


def test_a_tied_head_is_not_saved_twice(tmp_path: Path) -> None:
    make("llama-tied", tmp_path / "tied")
    state = load(tmp_path / "tied")
    save_checkpoint(state | {HEAD: state[EMBEDDING]}, read_config(tmp_path / "tied"), tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert HEAD not in file.keys()  # noqa: SIM118


def test_a_save_that_fails_leaves_the_folder_as_it_was(
    single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, config = load(single), read_config(single)
    before = {path.name: path.read_bytes() for path in single.iterdir() if path.is_file()}
    real, written = writer.save_file, []

    def disk_full(tensors: Any, path: Path, metadata: Any) -> None:
        written.append(path)
        if len(written) == 3:
            path.write_bytes(b"half")
            raise OSError("No space left on device")
        real(tensors, path, metadata=metadata)

    monkeypatch.setattr(writer, "save_file", disk_full)
    with pytest.raises(CheckpointError, match=r"model-00003-of-\d+.safetensors cannot be written: No space left"):
        save_checkpoint(state, config, single, max_shard_bytes=100_000)
    assert {path.name: path.read_bytes() for path in single.iterdir() if path.is_file()} == before


def test_places_that_cannot_be_written(single: Path, tmp_path: Path) -> None:
    state, config = load(single), read_config(single)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file cannot be made a folder"):
        save_checkpoint(state, config, tmp_path / "file")
    (tmp_path / "taken" / "config.json").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"config.json cannot be replaced"):
        save_checkpoint(state, config, tmp_path / "taken")
    assert not [name for name in os.listdir(tmp_path / "taken") if name.endswith("partial")]


def test_what_cannot_be_stated_is_refused_before_anything_is_written(single: Path, tmp_path: Path) -> None:
    config = read_config(single).model_copy(update={"qk_norm": True})
    with pytest.raises(ConfigError, match="cannot state qk_norm = True, only False"):
        save_checkpoint(load(single), config, tmp_path / "out")
    with pytest.raises(CheckpointError, match="max_shard_bytes = 0: a positive number"):
        save_checkpoint(load(single), read_config(single), tmp_path / "out", max_shard_bytes=0)
    assert not (tmp_path / "out").exists()
