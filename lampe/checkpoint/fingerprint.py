"""What tells one checkpoint from another, without reading all of it."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import torch

from lampe.checkpoint.folder import CONFIG, checkpoint_folder, read_json
from lampe.checkpoint.reader import HEAD, StoredTensor, open_weights
from lampe.models.family import family_of

PLACES = 4
"""Rows of each tensor that are read."""

MOST_NUMBERS = 1024
"""Of each of them, from its beginning."""

NOT_OF_THE_WEIGHTS = {"dtype", "bos_token_id", "eos_token_ids", "pad_token_id"}


def fingerprint(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of a model: of its shape and its RoPE, and of a few rows of every tensor.

    It is the same however config.json is written, and into how many files, in which order, the tensors are. Training
    changes nearly every weight, so checkpoints that are a training step apart differ in it; a change of a few single
    weights may not show.

    Raises:
        CheckpointError: the folder is no checkpoint, or its weights cannot be opened.
        ConfigError: config.json has something that lampe does not know.
    """
    folder = checkpoint_folder(folder)
    raw = read_json(folder / CONFIG)
    config = family_of(raw).from_hf(raw)
    shape = config.model_dump(mode="json", exclude=NOT_OF_THE_WEIGHTS, exclude_defaults=True)
    digest = sha256(json.dumps(shape, sort_keys=True).encode())
    # A caller may be building its model on the meta device.
    with open_weights(folder) as stored, torch.device("cpu"):
        for name in sorted(stored):
            # Some writers keep a second copy of tied embeddings.
            if not (name == HEAD and config.tie_embeddings):
                digest.update(f"\0{name} {stored[name].dtype} {stored[name].shape}\0".encode())
                digest.update(_sampled(stored[name]))
    return digest.hexdigest()


def _sampled(tensor: StoredTensor) -> bytes:
    """The beginnings of some rows, spread evenly from the first to the last."""
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    chosen = sorted({(rows - 1) * place // (PLACES - 1) for place in range(PLACES)})
    numbers = torch.cat([tensor.begin_of_row(row, MOST_NUMBERS) for row in chosen])
    return numbers.contiguous().view(torch.uint8).numpy().tobytes()
