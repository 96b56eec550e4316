"""What lies in a checkpoint folder: its config.json and its safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from lampe.errors import CheckpointError
from lampe.files import expanded

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".ckpt")


def checkpoint_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder as a path, once it is known to be one with a config.json.

    Raises:
        CheckpointError: it does not exist, is a file, or holds no config.json.
    """
    path = expanded(folder)
    if not path.exists():
        raise CheckpointError(f"{path}: no such folder")
    if not path.is_dir():
        raise CheckpointError(f"{path} is a file: a checkpoint is the folder that holds {CONFIG} and {WEIGHTS}")
    if not (path / CONFIG).is_file():
        names = [entry.name for entry in path.iterdir()]
        if _ggufs(names):
            raise CheckpointError(why_no_weights(str(path), names))
        raise CheckpointError(f"{path} holds no {CONFIG}, so it is no checkpoint")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file cannot be read, is no JSON, or holds something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}: a JSON object would be accepted")
    return content


def weight_files(folder: Path) -> dict[Path, frozenset[str] | None]:
    """The safetensors files of a checkpoint, and the tensors that the index places in each (None without an index).

    A single model.safetensors comes before an index, as in transformers.

    Raises:
        CheckpointError: there are no weights in safetensors, or the index is broken or names a file that is missing
            or outside the folder.
    """
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise CheckpointError(why_no_weights(str(folder), [path.name for path in folder.iterdir()]))
    placed: dict[str, set[str]] = {}
    for tensor, shard in weight_map(folder / INDEX).items():
        placed.setdefault(shard, set()).add(tensor)
    return {_shard_path(folder, shard): frozenset(tensors) for shard, tensors in placed.items()}


def weight_map(index: Path) -> dict[str, str]:
    """The shard of every tensor, as an index states it.

    Raises:
        CheckpointError: the index cannot be read, or does not say.
    """
    stated = read_json(index).get("weight_map")
    if not isinstance(stated, dict) or not stated or not all(isinstance(shard, str) for shard in stated.values()):
        raise CheckpointError(f"{index}: 'weight_map' must give a file name for every tensor")
    return stated


def _shard_path(folder: Path, shard: str) -> Path:
    path = folder / shard
    if not _stays_inside(folder, path):
        raise CheckpointError(f"{folder / INDEX} names the shard {shard!r}, which lies outside the folder")
    if not path.is_file():
        raise CheckpointError(f"{folder / INDEX} names the shard {shard!r}, which is not there")
    return path


def _stays_inside(folder: Path, path: Path) -> bool:
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a link to itself, or a name no file system takes
        return False
    if real.is_relative_to(folder.resolve()):
        return True
    # The cache of huggingface_hub links the files of a snapshot to models--org--name/blobs.
    return real.parent.name == "blobs" and real.parent.parent.name.startswith("models--")


def why_no_weights(holder: str, names: Collection[str], convert: str = "`lampe convert` one of them") -> str:
    """Why nothing can be loaded from what holds files of these names, but neither model.safetensors nor an index."""
    pickles = [name for name in names if name.endswith(PICKLES)]
    others = [name for name in names if name.endswith(".safetensors")]
    if others:
        return f"{holder} holds {few(others)}, but neither {WEIGHTS} nor {INDEX}, which would say what is in them"
    if ggufs := _ggufs(names):
        return f"{holder} holds only GGUF files ({few(ggufs)}): {convert}"
    if pickles:
        return (
            f"{holder} holds only pickled weights ({few(pickles)}), and lampe never unpickles: convert them to "
            "safetensors first"
        )
    return f"{holder} holds no weights: {WEIGHTS}, or shards and {INDEX}, would be accepted"


def _ggufs(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(".gguf")]


def few(names: Iterable[str], limit: int = 3) -> str:
    """The first names in their order, and how many more there are."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + rest
