"""YaRN: frequencies mixed by how many turns they make in the trained window."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry, yarn_temperature


@registry.register(
    "yarn",
    summary="low frequencies interpolated, high ones kept, attention sharpened",
    paper="https://arxiv.org/abs/2309.00071",
)
class YaRN(PositionalEncoding):
    """YaRN (Peng et al., arXiv 2309.00071), with the options that checkpoints bring.

    `attention_factor` is A itself; without it A is 0.1 ln(s) + 1, or the quotient of `mscale` and `mscale_all_dim`.
    `truncate` rounds the ends of the ramp outwards to whole frequencies.
    """

    class Config(PositionalConfig):
        kind: Literal["yarn"] = "yarn"
        factor: float | None = Field(default=None, ge=1)
        beta_fast: float = Field(default=32.0, gt=0)
        beta_slow: float = Field(default=1.0, gt=0)
        attention_factor: float | None = Field(default=None, gt=0)
        mscale: float | None = None
        mscale_all_dim: float | None = None
        truncate: bool = True

    def ramp_ends(self) -> tuple[float, float]:
        """Frequencies below the first keep their value, those above the second are divided by the factor."""
        low, high = self._turns(self.config.beta_fast), self._turns(self.config.beta_slow)
        if self.config.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, self.rope.dim - 1)
        return low, high + 0.001 if low == high else high

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, _ = super().frequencies(length)
        low, high = self.ramp_ends()
        ramp = ((torch.arange(len(trained), dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
        factor = self.factor(length)
        return trained / factor * ramp + trained * (1 - ramp), self._temperature(factor)

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)

    def _turns(self, turns: float) -> float:
        """The (fractional) index of the frequency that makes `turns` full turns in the trained window."""
        return self.rope.dim * math.log(self.window / (turns * 2 * math.pi)) / (2 * math.log(self.rope.theta))

    def _temperature(self, factor: float) -> float:
        config = self.config
        if config.attention_factor is not None:
            return float(config.attention_factor)
        if config.mscale and config.mscale_all_dim:
            return yarn_temperature(factor, config.mscale) / yarn_temperature(factor, config.mscale_all_dim)
        return yarn_temperature(factor)
