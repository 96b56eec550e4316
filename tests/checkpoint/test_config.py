"""Which folders are checkpoints, and what config.json and generation_config.json say together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lampe.checkpoint import read_config
from lampe.errors import CheckpointError, ConfigError
from tests.models.hf_samples import QWEN25_7B


def folder(path: Path, **files: Any) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / f"{name}.json").write_text(text)
    return path


def test_generation_config_brings_the_tokens_that_end_a_turn(tmp_path: Path) -> None:
    generation = {"eos_token_id": [151645, 151643], "pad_token_id": 151643, "do_sample": True, "top_p": 0.8}
    config = read_config(folder(tmp_path, config=QWEN25_7B, generation_config=generation))
    assert (config.eos_token_ids, config.pad_token_id, config.bos_token_id) == ((151645, 151643), 151643, 151643)


@pytest.mark.parametrize(("stated", "expected"), [(7, (7,)), (None, (151645,)), ([], (151645,))])
def test_config_json_is_asked_where_generation_config_is_silent(
    stated: Any, expected: tuple[int, ...], tmp_path: Path
) -> None:
    path = folder(tmp_path, config=QWEN25_7B, generation_config={"eos_token_id": stated})
    assert read_config(path).eos_token_ids == expected


def test_without_generation_config(tmp_path: Path) -> None:
    assert read_config(folder(tmp_path, config=QWEN25_7B)).eos_token_ids == (151645,)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no config.json, so it is no checkpoint"),
        ({"config": "{"}, "config.json is no JSON: Expecting property name"),
        ({"config": "[" * 100_000}, "config.json is no JSON"),
        ({"config": "[1]"}, "config.json holds a list: a JSON object would be accepted"),
        ({"config": QWEN25_7B, "generation_config": "nonsense"}, "generation_config.json is no JSON"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_why(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_config(folder(tmp_path, **files))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="is no JSON"):
        read_config(tmp_path)


def test_end_tokens_that_are_no_ids(tmp_path: Path) -> None:
    path = folder(tmp_path, config=QWEN25_7B, generation_config={"eos_token_id": "<|im_end|>"})
    with pytest.raises(ConfigError, match=r"generation_config.json: eos_token_id = '<\|im_end\|>'"):
        read_config(path)


def test_paths_that_are_no_folders(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        read_config(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file: a checkpoint is the folder that holds"):
        read_config(tmp_path / "model.safetensors")
