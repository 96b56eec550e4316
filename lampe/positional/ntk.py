"""NTK-aware scaling, static and dynamic: a larger base."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, inverse_frequencies, registry

SOURCE = "https://www.reddit.com/r/LocalLLaMA/comments/14lz7j5/ntkaware_scaled_rope_allows_llama_models_to_have/"


@registry.register("ntk", summary="a base enlarged by factor^(D/(D-2))", paper=SOURCE, aliases=("ntk-aware",))
class NTK(PositionalEncoding):
    """NTK-aware scaled RoPE: base * s^(D/(D-2)), so that the lowest frequency falls by s and the highest stays."""

    class Config(PositionalConfig):
        kind: Literal["ntk"] = "ntk"
        factor: float | None = Field(default=None, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        return _scaled_base(self, self.factor(length)), 1.0

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)


@registry.register(
    "dynamic-ntk", summary="NTK with a base that grows with the planned length", paper=SOURCE, aliases=("dynamic",)
)
class DynamicNTK(PositionalEncoding):
    """Dynamic NTK, "dynamic" in a config.json: base * (s*N/L - (s - 1))^(D/(D-2)), N the planned length, at least L.

    The base is that of the plan and stays while decoding: keys in the cache and new queries always agree.
    """

    class Config(PositionalConfig):
        kind: Literal["dynamic-ntk"] = "dynamic-ntk"
        factor: float = Field(default=2.0, ge=1)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        factor = self.config.factor
        return _scaled_base(self, factor * max(length, self.window) / self.window - (factor - 1)), 1.0

    def position_limit(self, length: int) -> float:
        return float(max(length, self.window))


def _scaled_base(method: PositionalEncoding, scale: float) -> Tensor:
    dim = method.rope.dim
    return inverse_frequencies(method.rope.theta * scale ** (dim / (dim - 2)), dim)
