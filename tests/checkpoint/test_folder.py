"""An index is followed only where it leads to what it says, inside the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lampe.errors import CheckpointError
from tests.checkpoint.loading import EMBEDDING, Q, load


def reindex(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    change(index["weight_map"])
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def first_shard(folder: Path) -> str:
    return min(path.name for path in folder.glob("*.safetensors"))


WRONG_INDEX: dict[str, tuple[Callable[[dict[str, str]], Any], str]] = {
    "parent": (lambda places: places.update({Q: "../x.safetensors"}), r"'../x.safetensors', which lies outside"),
    "absolute": (lambda places: places.update({Q: "/etc/hostname"}), "'/etc/hostname', which lies outside the folder"),
    "null byte": (lambda places: places.update({Q: "a\0b"}), "which lies outside the folder"),
    "absent": (
        lambda places: places.update({Q: "gone.safetensors"}),
        "names the shard 'gone.safetensors', which is not",
    ),
    "not a name": (lambda places: places.update({Q: 3}), "'weight_map' must give a file name for every tensor"),
    "empty": (lambda places: places.clear(), "'weight_map' must give a file name for every tensor"),
    "unknown tensor": (
        lambda places: places.update(extra=min(places.values())),
        r"index.json places extra in model-00001-of-\d+.safetensors, which does not hold that",
    ),
    "silent": (lambda places: places.pop(EMBEDDING), f"holds {EMBEDDING}, of which model.safetensors.index.json"),
    "other shard": (
        lambda places: places.update({EMBEDDING: max(places.values())}),
        rf"{EMBEDDING}",
    ),
}


@pytest.mark.parametrize("case", WRONG_INDEX)
def test_an_index_that_cannot_be_followed(case: str, sharded: Path) -> None:
    change, message = WRONG_INDEX[case]
    reindex(sharded, change)
    with pytest.raises(CheckpointError, match=message):
        load(sharded)


def test_shards_that_links_bring_from_outside(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    name = first_shard(sharded)
    (sharded / name).rename(outside / name)
    (sharded / name).symlink_to(outside / name)
    with pytest.raises(CheckpointError, match=f"'{name}', which lies outside the folder"):
        load(sharded)
    (sharded / name).unlink()
    (sharded / "sub").symlink_to(outside)
    reindex(sharded, lambda places: places.update({k: f"sub/{name}" for k, v in places.items() if v == name}))
    with pytest.raises(CheckpointError, match=f"'sub/{name}', which lies outside the folder"):
        load(sharded)
    (sharded / "loop").symlink_to("loop")
    reindex(sharded, lambda places: places.update({EMBEDDING: "loop"}))
    with pytest.raises(CheckpointError, match="'loop', which"):
        load(sharded)


def test_shards_in_a_folder_below(sharded: Path) -> None:
    expected = {key: tensor.clone() for key, tensor in load(sharded).items()}
    (sharded / "below").mkdir()
    name = first_shard(sharded)
    (sharded / name).rename(sharded / "below" / name)
    reindex(sharded, lambda places: places.update({k: f"below/{name}" for k, v in places.items() if v == name}))
    assert all(torch.equal(tensor, expected[key]) for key, tensor in load(sharded).items())


def test_a_missing_shard(sharded: Path) -> None:
    name = first_shard(sharded)
    (sharded / name).unlink()
    with pytest.raises(CheckpointError, match=f"names the shard '{name}', which is not there"):
        load(sharded)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "holds no weights: model.safetensors, or shards and model.safetensors.index.json, would be accepted"),
        (
            ("pytorch_model.bin",),
            r"only pickled weights \(pytorch_model.bin\), and lampe never unpickles: convert them",
        ),
        (("consolidated.00.pth", "x.pt"), r"pickled weights \(consolidated.00.pth, x.pt\)"),
        (("a.gguf", "b.gguf"), r"holds only GGUF files \(a.gguf, b.gguf\): `lampe convert` one of them"),
        (("model-00001-of-00002.safetensors",), "holds model-00001-of-00002.safetensors, but neither"),
    ],
)
def test_a_folder_without_weights_says_what_it_holds(names: tuple[str, ...], message: str, single: Path) -> None:
    (single / "model.safetensors").unlink()
    for name in names:
        (single / name).write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=message):
        load(single)


def test_gguf_files_without_a_config(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"holds only GGUF files \(a.gguf\): `lampe convert` one of them"):
        load(tmp_path)
