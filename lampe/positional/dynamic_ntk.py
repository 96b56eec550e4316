"""Dynamic NTK: NTK-aware scaling that follows the length."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry
from lampe.positional.ntk import ntk_frequencies


@registry.register(
    "dynamic-ntk",
    summary="NTK with a base that grows with the planned length",
    paper="https://www.reddit.com/r/LocalLLaMA/comments/14mrgpr/dynamically_scaled_rope_further_increases/",
    aliases=("dynamic",),
)
class DynamicNTK(PositionalEncoding):
    """Dynamic NTK, "dynamic" in a config.json: base * (s*N/L - (s - 1))^(D/(D-2)), N the planned length, at least L.

    The base is that of the plan and stays while decoding: keys in the cache and new queries always agree.
    """

    class Config(PositionalConfig):
        """The fields of dynamic NTK.

        Attributes:
            factor: s, how fast the base grows with N.
        """

        kind: Literal["dynamic-ntk"] = "dynamic-ntk"
        factor: float = Field(default=2.0, ge=1)

    reach_formula = "no end: the base follows N"

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        factor = self.config.factor
        return ntk_frequencies(self.rope, factor * max(length, self.window) / self.window - (factor - 1)), 1.0

    def position_limit(self, length: int) -> float:
        return float(max(length, self.window))
