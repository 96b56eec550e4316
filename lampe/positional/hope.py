"""HoPE's frequency mask."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry


@registry.register(
    "hope",
    summary="frequencies that make no full turn in the trained window set to zero",
    paper="https://arxiv.org/abs/2410.21216",
)
class HoPE(PositionalEncoding):
    """High-frequency RoPE (Chen et al., arXiv 2410.21216): only theta_k > 2 pi / L rotate, so no angle is ever new.

    An experiment: the paper trains with the mask, here it is laid over a model that was trained without.
    """

    class Config(PositionalConfig):
        """HoPE has no fields of its own."""

        kind: Literal["hope"] = "hope"

    experimental = True
    reach_formula = "no end: every angle left was trained"

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, temperature = super().frequencies(length)
        return torch.where(trained > 2 * math.pi / self.window, trained, 0.0), temperature

    def position_limit(self, length: int) -> float:
        return math.inf
