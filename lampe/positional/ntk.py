"""NTK-aware scaling: a larger base."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig, RopeConfig
from lampe.errors import ConfigError
from lampe.positional.base import ScaledEncoding, inverse_frequencies, registry


@registry.register(
    "ntk",
    summary="a base enlarged by factor^(D/(D-2))",
    paper="https://www.reddit.com/r/LocalLLaMA/comments/14lz7j5/ntkaware_scaled_rope_allows_llama_models_to_have/",
    aliases=("ntk-aware",),
)
class NTK(ScaledEncoding):
    """NTK-aware scaled RoPE: base * s^(D/(D-2)), so that the lowest frequency falls by s and the highest stays."""

    class Config(PositionalConfig):
        """The fields of NTK.

        Attributes:
            factor: s; None is what the checkpoint was extended by, else N / L.
        """

        kind: Literal["ntk"] = "ntk"
        factor: float | None = Field(default=None, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        return ntk_frequencies(self.rope, self.factor(length)), 1.0


def ntk_frequencies(rope: RopeConfig, factor: float) -> Tensor:
    """inv_freq of the base theta * factor^(D/(D-2)), fp32 [D / 2].

    Raises:
        ConfigError: D is 2, so that there is no lowest frequency beside the highest.
    """
    if rope.dim == 2:
        raise ConfigError("NTK scaling needs a rotary dimension of at least 4, not 2: base * s^(D / (D - 2))")
    return inverse_frequencies(rope.theta * factor ** (rope.dim / (rope.dim - 2)), rope.dim)
