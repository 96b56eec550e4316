"""Dynamic YaRN: YaRN whose factor follows the length."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from lampe.positional.base import registry
from lampe.positional.yarn import YaRN, YaRNOptions


@registry.register(
    "dynamic-yarn",
    summary="YaRN with the factor that the planned length needs",
    paper="https://arxiv.org/abs/2309.00071",
)
class DynamicYaRN(YaRN):
    """Dynamic YaRN (Peng et al., arXiv 2309.00071, section 3.3): s = N / L for N above L, ramp and A for that s.

    The factor is that of the plan and stays while decoding: keys in the cache and new queries always agree.
    """

    class Config(YaRNOptions):
        """The fields of dynamic YaRN.

        Attributes:
            factor: the least s, for a checkpoint that was tuned with YaRN; 1 leaves inputs of up to L tokens alone.
        """

        kind: Literal["dynamic-yarn"] = "dynamic-yarn"
        factor: float = Field(default=1.0, ge=1)

    reach_formula = "no end: s follows N"

    def factor(self, length: int) -> float:
        """s for a planned length in tokens."""
        return max(float(self.config.factor), length / self.window)

    def reach(self) -> float:
        return math.inf

    def fields_for(self, length: int) -> dict[str, Any]:
        return {}
