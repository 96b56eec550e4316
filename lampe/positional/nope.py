"""NoPE: a decoder without positions."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry


@registry.register(
    "nope", summary="no positions at all: every frequency zero", paper="https://arxiv.org/abs/2305.19466"
)
class NoPE(PositionalEncoding):
    """No positional encoding (Kazemnejad et al., arXiv 2305.19466): what is left of a decoder is its causal mask.

    An experiment on a model that was trained with RoPE: it shows what the rotation bears. The paper trains without.
    """

    class Config(PositionalConfig):
        """NoPE has no fields of its own."""

        kind: Literal["nope"] = "nope"

    experimental = True
    reach_formula = "no end: there are no positions"

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        return torch.zeros(self.rope.dim // 2, dtype=torch.float32), 1.0

    def position_limit(self, length: int) -> float:
        return math.inf
