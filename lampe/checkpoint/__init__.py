"""Checkpoints in the Hugging Face layout: found, read, written."""

from __future__ import annotations

from lampe.checkpoint.config import read_config
from lampe.checkpoint.fingerprint import fingerprint
from lampe.checkpoint.hub import resolve
from lampe.checkpoint.reader import checkpoint_dtype, load_weights
from lampe.checkpoint.writer import save_checkpoint

__all__ = ["checkpoint_dtype", "fingerprint", "load_weights", "read_config", "resolve", "save_checkpoint"]
