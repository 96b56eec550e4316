"""config.json and generation_config.json of a checkpoint folder, read."""

from __future__ import annotations

import os
from pathlib import Path

from lampe.checkpoint.fingerprint import fingerprint
from lampe.checkpoint.folder import CONFIG, GENERATION_CONFIG, checkpoint_folder, read_json
from lampe.config import ModelConfig, Origin
from lampe.errors import CheckpointError
from lampe.models.family import family_of
from lampe.models.hf_config import HFTokenIds
from lampe.registry import validate


def read_config(folder: str | os.PathLike[str]) -> ModelConfig:
    """The shape of a checkpoint's model, as its family reads it.

    The special tokens of generation_config.json come before those of config.json: chat models state their end-of-turn
    tokens there.

    Args:
        folder: a checkpoint folder in the Hugging Face layout.

    Raises:
        CheckpointError: no such folder, no config.json, or a file that is no JSON.
        ConfigError: a field is missing, not accepted, or means something that lampe does not compute.
    """
    path = checkpoint_folder(folder)
    raw = read_json(path / CONFIG)
    config = family_of(raw).from_hf(raw)
    rope = config.rope.model_copy(update={"origin": Origin(folder=str(path), fingerprint=_fingerprint(path))})
    config = config.model_copy(update={"rope": rope})
    if not (path / GENERATION_CONFIG).is_file():
        return config
    tokens = validate(HFTokenIds, read_json(path / GENERATION_CONFIG), GENERATION_CONFIG)
    stated = {
        "bos_token_id": tokens.bos_token_id,
        "eos_token_ids": tokens.eos_token_id or None,
        "pad_token_id": tokens.pad_token_id,
    }
    return config.model_copy(update={field: value for field, value in stated.items() if value is not None})


def _fingerprint(folder: Path) -> str | None:
    """That of the weights, where there are any: a config.json can be looked at without them."""
    try:
        return fingerprint(folder)
    except CheckpointError:
        return None
