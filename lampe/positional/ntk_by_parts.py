"""NTK-by-parts: interpolation, NTK and plain RoPE, each where its frequencies suit it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import ScaledEncoding, registry
from lampe.positional.ntk import ntk_frequencies
from lampe.positional.ramp import ramp, ramp_ends


@registry.register(
    "ntk-by-parts",
    summary="low frequencies interpolated, middle ones by NTK, high ones kept",
    paper="https://github.com/jquesnelle/scaled-rope/pull/1",
    aliases=("ntk-parts",),
)
class NTKByParts(ScaledEncoding):
    """NTK-by-parts, YaRN's predecessor (bloc97), with the constants that its author found for LLaMA.

    Two ramps over the turns that a frequency makes in the trained window: from NTK to linear interpolation between 1.25
    and 0.75 turns, and from plain RoPE to that mix between 16 and 2 turns. A is 1.
    """

    class Config(PositionalConfig):
        """The fields of NTK-by-parts.

        Attributes:
            factor: s; None is what the checkpoint was extended by, else N / L.
        """

        kind: Literal["ntk-by-parts"] = "ntk-by-parts"
        factor: float | None = Field(default=None, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, temperature = super().frequencies(length)
        factor = self.factor(length)
        to_linear = self._ramp(1.25, 0.75)
        mixed = trained / factor * to_linear + ntk_frequencies(self.rope, factor) * (1 - to_linear)
        to_mixed = self._ramp(16, 2)
        return mixed * to_mixed + trained * (1 - to_mixed), temperature

    def _ramp(self, fast: float, slow: float) -> Tensor:
        return ramp(*ramp_ends(self.rope, self.window, fast, slow), self.rope.dim // 2)
