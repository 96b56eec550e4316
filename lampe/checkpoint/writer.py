"""A checkpoint folder that transformers and lampe load, written file by file into place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lampe.checkpoint.folder import CONFIG, GENERATION_CONFIG, INDEX, WEIGHTS
from lampe.checkpoint.reader import HEAD, prevalent
from lampe.config import ModelConfig
from lampe.errors import CheckpointError
from lampe.files import expanded
from lampe.models import registry

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")


def save_checkpoint(
    model_state: Mapping[str, Tensor],
    config: ModelConfig,
    folder: str | os.PathLike[str],
    *,
    max_shard_bytes: int = 5 * 10**9,
) -> None:
    """Write config.json, generation_config.json and the weights, in one file or in shards with an index.

    Every file is written under another name first and takes its place once all of them are complete; weight files of an
    earlier save that no longer belong there are removed at the end. A folder may be saved over while a model has it
    mapped.

    Args:
        model_state: state dict with the keys of Hugging Face; `config.dtype` gives way to the dtype of these tensors.
        config: of any registered family.
        folder: made if need be.
        max_shard_bytes: size in bytes above which weights are split; a larger tensor gets a shard of its own.

    Raises:
        ConfigError: the config has something that a config.json of its family cannot state.
        CheckpointError: the folder cannot be written to.
    """
    if max_shard_bytes < 1:
        raise CheckpointError(f"max_shard_bytes = {max_shard_bytes}: a positive number of bytes would be accepted")
    state = {name: tensor for name, tensor in model_state.items() if not (config.tie_embeddings and name == HEAD)}
    dtype = prevalent((tensor.dtype, tensor.numel()) for tensor in state.values())
    stated = config.model_copy(update={"dtype": str(dtype).removeprefix("torch.")})
    written = registry.create(stated).to_hf()
    path = expanded(folder)
    shards = _split(state, max_shard_bytes)
    with _Replacement(path) as new:
        for name, tensors in shards.items():
            new.add(name, _weights_writer(tensors))
        if len(shards) > 1:
            new.add(INDEX, _json_writer(_index(shards)))
        new.add(CONFIG, _json_writer(written))
        # Read before config.json: one of another model would give this one its end tokens.
        new.add(
            GENERATION_CONFIG,
            _json_writer({name: token for name in TOKENS if (token := written.get(name)) is not None}),
        )
    for old in path.iterdir():
        if (old.name in (WEIGHTS, INDEX) or SHARD.fullmatch(old.name)) and old.name not in new.names:
            old.unlink()


class _Replacement:
    """Files that take their places together, when the block ends well, or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: list[str] = []

    def __enter__(self) -> _Replacement:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.folder} cannot be made a folder: {error.strerror}") from None
        return self

    def add(self, name: str, write: Callable[[Path], None]) -> None:
        self.names.append(name)
        try:
            write(self._partial(name))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.folder / name} cannot be written: {error}") from None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            for name in self.names if kind is None else ():
                os.replace(self._partial(name), self.folder / name)
        except OSError as error:
            raise CheckpointError(f"{self.folder / name} cannot be replaced: {error.strerror}") from None
        finally:
            for name in self.names:
                self._partial(name).unlink(missing_ok=True)

    def _partial(self, name: str) -> Path:
        return self.folder / f".{name}.{os.getpid()}.partial"


def _weights_writer(tensors: Mapping[str, Tensor]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        save_file(_separate(tensors), path, metadata={"format": "pt"})

    return write


def _json_writer(content: Mapping[str, Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    return write


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors of which no two are the same memory, which safetensors refuses."""
    seen: set[tuple[torch.device, int]] = set()
    separate = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        place = tensor.device, tensor.data_ptr()
        separate[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return separate


def _split(state: Mapping[str, Tensor], max_bytes: int) -> dict[str, dict[str, Tensor]]:
    """File names to tensors, in their order."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in state.items():
        if parts[-1] and size + tensor.nbytes > max_bytes:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    if len(parts) == 1:
        return {WEIGHTS: parts[0]}
    return {f"model-{i:05}-of-{len(parts):05}.safetensors": part for i, part in enumerate(parts, start=1)}


def _index(shards: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    size = sum(tensor.nbytes for tensors in shards.values() for tensor in tensors.values())
    places = {name: shard for shard, tensors in shards.items() for name in tensors}
    return {"metadata": {"total_size": size}, "weight_map": places}
