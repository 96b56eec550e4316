"""YaRN: frequencies mixed by how many turns they make in the trained window."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import ScaledEncoding, registry, yarn_temperature
from lampe.positional.ramp import ramp, ramp_ends


class YaRNOptions(PositionalConfig):
    """The options of YaRN besides its factor.

    Attributes:
        beta_fast: frequencies that make more turns than this in the trained window keep their value.
        beta_slow: frequencies that make fewer are divided by s.
        attention_factor: A itself; None is 0.1 ln(s) + 1, or the quotient of `mscale` and `mscale_all_dim`.
        mscale: m in 0.1 m ln(s) + 1 above the line.
        mscale_all_dim: m in 0.1 m ln(s) + 1 below the line.
        truncate: round the ends of the ramp outwards to whole frequencies.
    """

    beta_fast: float = Field(default=32.0, gt=0)
    beta_slow: float = Field(default=1.0, gt=0)
    attention_factor: float | None = Field(default=None, gt=0)
    mscale: float | None = Field(default=None, ge=0)
    mscale_all_dim: float | None = Field(default=None, ge=0)
    truncate: bool = True

    @model_validator(mode="after")
    def _ordered(self) -> YaRNOptions:
        if self.beta_fast < self.beta_slow:
            raise ValueError(f"beta_fast = {self.beta_fast} must not be below beta_slow = {self.beta_slow}")
        return self


@registry.register(
    "yarn",
    summary="low frequencies interpolated, high ones kept, attention sharpened",
    paper="https://arxiv.org/abs/2309.00071",
)
class YaRN(ScaledEncoding):
    """YaRN (Peng et al., arXiv 2309.00071), with the options that checkpoints bring."""

    class Config(YaRNOptions):
        """The fields of YaRN.

        Attributes:
            factor: s; None is what the checkpoint was extended by, else N / L.
        """

        kind: Literal["yarn"] = "yarn"
        factor: float | None = Field(default=None, ge=1)

    def extended_window(self) -> int:
        # Qwen's model cards have users add a factor of 4 and leave the longest input that config.json states alone.
        return max(super().extended_window(), int(self.position_limit(1)))

    def ramp_ends(self) -> tuple[float, float]:
        """Frequencies below the first keep their value, those above the second are divided by the factor."""
        config = self.config
        return ramp_ends(self.rope, self.window, config.beta_fast, config.beta_slow, truncate=config.truncate)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, _ = super().frequencies(length)
        mix, factor = ramp(*self.ramp_ends(), len(trained)), self.factor(length)
        return trained / factor * mix + trained * (1 - mix), self._temperature(factor)

    def _temperature(self, factor: float) -> float:
        config = self.config
        if config.attention_factor is not None:
            return float(config.attention_factor)
        if config.mscale and config.mscale_all_dim:
            return yarn_temperature(factor, config.mscale) / yarn_temperature(factor, config.mscale_all_dim)
        return yarn_temperature(factor)
