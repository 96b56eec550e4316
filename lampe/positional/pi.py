"""Position interpolation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import ScaledEncoding, registry


@registry.register(
    "pi",
    summary="every frequency divided by the factor",
    paper="https://arxiv.org/abs/2306.15595",
    aliases=("linear",),
)
class PI(ScaledEncoding):
    """Position interpolation, "linear" in a config.json (Chen et al., arXiv 2306.15595)."""

    class Config(PositionalConfig):
        """The fields of PI.

        Attributes:
            factor: s; None is what the checkpoint was extended by, else N / L.
        """

        kind: Literal["pi"] = "pi"
        factor: float | None = Field(default=None, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        return inv_freq / self.factor(length), temperature
