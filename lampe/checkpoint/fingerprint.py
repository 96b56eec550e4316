"""What tells one checkpoint from another, without reading all of it."""

from __future__ import annotations

import os
from hashlib import sha256

from lampe.checkpoint.folder import CONFIG, checkpoint_folder, weight_files

SAMPLES = 64
"""Places of each file that are read."""

SAMPLE_BYTES = 4096


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of config.json and, of each safetensors file, of its size and of 64 stretches of 4 KiB spread over it.

    The first stretch begins with the names, dtypes and shapes of the tensors. Training changes nearly every weight, so
    checkpoints that are a training step apart differ in it; a change of a few single weights may not show.

    Raises:
        CheckpointError: the folder is no checkpoint.
    """
    folder = checkpoint_folder(folder)
    digest = sha256((folder / CONFIG).read_bytes())
    for path in sorted(weight_files(folder)):
        size = path.stat().st_size
        digest.update(f"\0{size}\0".encode())
        with path.open("rb") as file:
            for place in _places(size):
                file.seek(place)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _places(size: int) -> list[int]:
    room = max(size - SAMPLE_BYTES, 0)
    return sorted({room * index // (SAMPLES - 1) for index in range(SAMPLES)})
