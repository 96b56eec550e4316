"""Loading a checkpoint folder into a decoder, as the tests of this package do it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lampe.checkpoint import load_weights, read_config
from lampe.models.transformer import Transformer

CPU = torch.device("cpu")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
Q, K = "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight"


def empty(folder: Path) -> Transformer:
    """The model of a config.json on the meta device."""
    with torch.device("meta"):
        return Transformer(read_config(folder))


def load(folder: Path, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The state dict of a folder, on the CPU."""
    model = empty(folder)
    load_weights(model, folder, dtype=dtype, device=CPU)
    return model.state_dict()
