"""Writes safetensors files chunk by chunk, so that no tensor need be in memory whole.

The format (https://huggingface.co/docs/safetensors): the length of the header as 8 bytes, the header (JSON: dtype,
shape and byte range of every tensor), then the bytes of the tensors one after another.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lampe.errors import CheckpointError

MAX_SHARD_BYTES = 5 * 10**9
DTYPES = {
    "bfloat16": (torch.bfloat16, "BF16"),
    "float16": (torch.float16, "F16"),
    "float32": (torch.float32, "F32"),
}


class StreamedTensor(Protocol):
    """A named tensor that comes in pieces."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def chunks(self) -> Iterable[NDArray[np.float32]]:
        """The numbers in order, split along the first dimension."""


def write_safetensors(
    folder: Path,
    tensors: Sequence[StreamedTensor],
    dtype: str,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Callable[[int, int, str], None] | None = None,
) -> None:
    """Write model.safetensors, or numbered shards with model.safetensors.index.json.

    Args:
        folder: where to; it must exist.
        tensors: read one after another, once.
        dtype: one of `DTYPES`.
        max_shard_bytes: a shard holds at most this much, or one tensor.
        progress: called with (tensors written, tensors in all, name) after each tensor.

    Raises:
        CheckpointError: a number of a tensor is not finite in `dtype`.
    """
    shards = list(_shards(tensors, torch.empty((), dtype=DTYPES[dtype][0]).itemsize, max_shard_bytes))
    weight_map: dict[str, str] = {}
    total = written = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors" if len(shards) > 1 else "model.safetensors"
        with (folder / name).open("wb") as stream:
            total += _write_header(stream, shard, dtype)
            for tensor in shard:
                _write_tensor(stream, tensor, dtype)
                weight_map[tensor.name] = name
                written += 1
                if progress is not None:
                    progress(written, len(tensors), tensor.name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _shards(tensors: Sequence[StreamedTensor], itemsize: int, limit: int) -> Iterator[list[StreamedTensor]]:
    shard: list[StreamedTensor] = []
    size = 0
    for tensor in tensors:
        tensor_size = math.prod(tensor.shape) * itemsize
        if shard and size + tensor_size > limit:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += tensor_size
    yield shard


def _write_header(stream: BinaryIO, tensors: Sequence[StreamedTensor], dtype: str) -> int:
    """Write the header and return how many bytes the tensors will take."""
    torch_dtype, code = DTYPES[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + math.prod(tensor.shape) * torch_dtype.itemsize
        header[tensor.name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(struct.pack("<Q", len(text)) + text)
    return offset


def _write_tensor(stream: BinaryIO, tensor: StreamedTensor, dtype: str) -> None:
    torch_dtype, _ = DTYPES[dtype]
    for chunk in tensor.chunks():
        # A chunk may be a read-only view of a mapped file, which torch does not take.
        values = torch.from_numpy(np.require(chunk, requirements=["C", "W"])).to(torch_dtype)
        if not bool(torch.isfinite(values).all()):
            raise CheckpointError(f"{tensor.name} holds numbers that are not finite in {dtype}")
        stream.write(values.view(torch.uint8).numpy().tobytes())
