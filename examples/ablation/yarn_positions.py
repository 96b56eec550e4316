"""LaMPE on YaRN's frequencies: both share the extension."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.positional import LaMPE, YaRN
from lampe.positional.ramp import ramp


class LaMPEYaRN(LaMPE):
    """YaRN's frequencies with factor s under LaMPE's positions, whose span grows by s: min(round(s U), N - 1).

    Mapped positions lose neighbours and scaled frequencies lose resolution; with s = sqrt(N / L) each does half of the
    extension. Positions below s L stand for trained ones. The temperature stays LaMPE's, the profile's or
    GENTLE_TEMPERATURE, and does not follow s. A scaling of the checkpoint that is kept is scaled further, and the ramp
    counts turns in the window that it was extended to.
    """

    class Config(LaMPE.Config):
        """The fields of LaMPE, and:

        Attributes:
            factor: s; None is sqrt(N / L), at least 1.
        """

        kind: Literal["lampe-yarn"] = "lampe-yarn"
        factor: float | None = Field(default=None, ge=1)

    reach_formula = "where U + (1 - U / (N - 1)) (h + t') meets s L, U grown by s; searched for, since both follow N"

    def factor(self, length: int) -> float:
        """s for a planned length in tokens."""
        if self.config.factor is not None:
            return float(self.config.factor)
        return max(1.0, math.sqrt(length / self.window))

    def span(self, length: int) -> int:
        """s U for a planned length, rounded, before it is clamped to N - 1."""
        return round(self.factor(length) * super().span(length))

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, temperature = super().frequencies(length)
        factor = self.factor(length)
        if factor == 1:
            # The mix below would differ from the trained frequencies in the last bit.
            return trained, temperature
        mix = ramp(*YaRN(original_window=self.window).bind(self.rope).ramp_ends(), len(trained))
        return trained / factor * mix + trained * (1 - mix), temperature

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)
