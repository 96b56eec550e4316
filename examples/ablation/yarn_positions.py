"""LaMPE on YaRN's frequencies: both share the extension."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.positional import LaMPE, YaRN


class LaMPEYaRN(LaMPE):
    """YaRN's frequencies with factor s under LaMPE's positions, whose span grows by s.

    Either alone blurs: positions lose neighbours, frequencies lose resolution. Here each does the root of it. The
    temperature stays LaMPE's.
    """

    class Config(LaMPE.Config):
        """The fields of LaMPE, and:

        Attributes:
            factor: s; None is the root of N / L, at least 1.
        """

        kind: Literal["lampe-yarn"] = "lampe-yarn"
        factor: float | None = Field(default=None, ge=1)

    def factor(self, length: int) -> float:
        """s for a planned length."""
        if self.config.factor is not None:
            return float(self.config.factor)
        return max(1.0, math.sqrt(length / self.window))

    def span(self, length: int) -> int:
        return round(super().span(length) * self.factor(length))

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        _, temperature = super().frequencies(length)
        yarn = YaRN(factor=self.factor(length), original_window=self.config.original_window)
        return yarn.bind(self.rope).frequencies(length)[0], temperature

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)
