"""Engines over small random models and over checkpoint folders, for tests of every kind."""

from __future__ import annotations

from pathlib import Path

import torch

from lampe.attention import AttentionBackend, ChunkedAttention
from lampe.checkpoint import load_weights, read_config
from lampe.config import ModelConfig
from lampe.generation import Engine
from lampe.models.cache import KVCache
from lampe.models.transformer import Transformer
from lampe.positional import PositionalEncoding, create
from tests.checkpoints import randomise
from tests.methods import ROPE

TOLERANCE = 1e-5
"""Of the largest logit, in fp32."""


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


def config(**fields) -> ModelConfig:
    return ModelConfig(
        kind="llama",
        vocab_size=64,
        hidden_size=48,
        intermediate_size=64,
        n_layers=2,
        n_heads=6,
        n_kv_heads=2,
        head_dim=16,
        rope=ROPE,
        **fields,
    )


def engine_of(method, *, windows=(), backend=None, chunk: int = 4096) -> Engine:
    model = Transformer(config(sliding_windows=windows))
    randomise(model)
    return Engine(model, method.bind(ROPE), backend or ChunkedAttention(query_block=16), chunk)


def ids_of(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 64, (rows, length), generator=torch.Generator().manual_seed(seed))


def in_pieces(engine: Engine, cache: KVCache, ids: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Logits of ids appended in pieces of the given sizes, then one by one."""
    sizes = [*sizes, *[1] * (ids.shape[1] - sum(sizes))]
    return torch.cat([engine.forward(piece, cache) for piece in ids.split(sizes, dim=1)], dim=1)
