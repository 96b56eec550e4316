"""Engines over small random models and over checkpoint folders, for tests of every kind."""

from __future__ import annotations

from pathlib import Path

import torch

from lampe.attention import AttentionBackend, ChunkedAttention
from lampe.checkpoint import load_weights, read_config
from lampe.generation import Engine
from lampe.models.transformer import Transformer
from lampe.positional import PositionalEncoding, create
from lampe.testing.decoding import TOLERANCE, engine


def assert_logits_equal(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) < TOLERANCE * float(expected.abs().max())


def load(folder: Path, backend: AttentionBackend | None = None, positional=None, chunk: int = 4096) -> Engine:
    """An engine over a checkpoint folder, with the positions the checkpoint was made with unless told otherwise."""
    config = read_config(folder)
    with torch.device("meta"):
        model = Transformer(config)
    load_weights(model, folder, dtype=torch.float32, device=torch.device("cpu"))
    method: PositionalEncoding = create(positional or config.rope.scaling or "rope", config)
    return Engine(model, method, backend or ChunkedAttention(query_block=32), chunk)


def engine_of(method, *, windows=(), backend=None, chunk: int = 4096) -> Engine:
    """The small model of the matrix, in blocks of 16 queries unless told otherwise."""
    return engine(method, backend or ChunkedAttention(query_block=16), windows, chunk)
