"""Position interpolation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry


@registry.register(
    "pi",
    summary="every frequency divided by the factor",
    paper="https://arxiv.org/abs/2306.15595",
    aliases=("linear",),
)
class PI(PositionalEncoding):
    """Position interpolation, "linear" in a config.json (Chen et al., arXiv 2306.15595)."""

    class Config(PositionalConfig):
        kind: Literal["pi"] = "pi"
        factor: float | None = Field(default=None, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        return inv_freq / self.factor(length), temperature

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)
