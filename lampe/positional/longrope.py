"""LongRoPE: one searched factor a frequency."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.errors import ConfigError
from lampe.positional.base import PositionalEncoding, registry

Divisor = Annotated[float, Field(gt=0)]


@registry.register(
    "longrope",
    summary="every frequency divided by a factor of its own, from the checkpoint",
    paper="https://arxiv.org/abs/2402.13753",
    aliases=("su",),
)
class LongRoPE(PositionalEncoding):
    """LongRoPE (Ding et al., arXiv 2402.13753): `short_factor` for plans up to L tokens, `long_factor` beyond.

    Both are found by search and come with the checkpoint.
    """

    class Config(PositionalConfig):
        """The fields of LongRoPE.

        Attributes:
            short_factor: D / 2 divisors of the frequencies, for plans of up to L tokens.
            long_factor: the same for longer plans.
            factor: s in A = sqrt(1 + ln(s) / ln(L)); None is the checkpoint's longest input over L.
            attention_factor: A itself.
        """

        kind: Literal["longrope"] = "longrope"
        short_factor: tuple[Divisor, ...] = Field(default=(), repr=False)
        long_factor: tuple[Divisor, ...] = Field(default=(), repr=False)
        factor: float | None = Field(default=None, ge=1)
        attention_factor: float | None = Field(default=None, gt=0)

    reach_formula = "the longest input the checkpoint states, or s L"

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        name = "short_factor" if length <= self.window else "long_factor"
        factors = torch.tensor(getattr(self.config, name), dtype=torch.float32)
        dim = self.rope.dim
        if len(factors) != dim // 2:
            raise ConfigError(
                f"longrope: {name} holds {len(factors)} factors, the rotary dimension {dim} needs {dim // 2}; "
                "they come with a checkpoint"
            )
        exponents = torch.arange(0, dim, 2, dtype=torch.int64).float() / dim
        return 1.0 / (factors * self.rope.theta**exponents), self._temperature()

    def position_limit(self, length: int) -> float:
        return float(max(self.rope.max_position, self.window * (self.config.factor or 1)))

    def _temperature(self) -> float:
        if self.config.attention_factor is not None:
            return float(self.config.attention_factor)
        scale = self.config.factor or self.rope.max_position / self.window
        return math.sqrt(1 + math.log(scale) / math.log(self.window)) if scale > 1 else 1.0
