"""The frequency scaling of Llama 3.1 and later."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lampe.config import PositionalConfig
from lampe.positional.base import ScaledEncoding, registry


@registry.register(
    "llama3",
    summary="long wavelengths divided by the factor, short ones kept, smooth between",
    paper="https://arxiv.org/abs/2407.21783",
)
class Llama3(ScaledEncoding):
    """Llama 3.1's scaling: wavelengths above L/low are divided by s, those below L/high stay, linear mix between."""

    class Config(PositionalConfig):
        """The fields of Llama 3's scaling.

        Attributes:
            factor: s, 8 in Llama 3.1 and 32 in 3.2.
            low_freq_factor: frequencies that make fewer turns than this in the trained window are divided by s.
            high_freq_factor: frequencies that make more keep their value.
        """

        kind: Literal["llama3"] = "llama3"
        factor: float = Field(default=8.0, ge=1)
        low_freq_factor: float = Field(default=1.0, gt=0)
        high_freq_factor: float = Field(default=4.0, gt=0)

        @model_validator(mode="after")
        def _ordered(self) -> Llama3.Config:
            if self.high_freq_factor <= self.low_freq_factor:
                raise ValueError(f"high_freq_factor = {self.high_freq_factor} must exceed {self.low_freq_factor}")
            return self

    reach_formula = "s L; as the checkpoint's own scaling, the longest input that states"

    def position_limit(self, length: int) -> float:
        # Llama 3.1 was trained for 16 L with s = 8, 3.2 for 16 L with s = 32.
        return float(self.rope.max_position) if self._is_the_checkpoints else super().position_limit(length)

    @property
    def _is_the_checkpoints(self) -> bool:
        """Whether the frequencies are those that the checkpoint was trained with; other options do not matter."""
        own, config = self.rope.scaling, self.config
        return (
            isinstance(own, Llama3.Config)
            and (own.factor, own.low_freq_factor, own.high_freq_factor)
            == (config.factor, config.low_freq_factor, config.high_freq_factor)
            and (own.original_window or self.rope.original_window) == self.window
        )

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        trained, temperature = super().frequencies(length)
        factor, low, high = self.config.factor, self.config.low_freq_factor, self.config.high_freq_factor
        wavelength = 2 * math.pi / trained
        keep = ((self.window / wavelength - low) / (high - low)).clamp(0, 1)
        mixed = (1 - keep) * trained / factor + keep * trained
        inv_freq = torch.where(keep == 0, trained / factor, torch.where(keep == 1, trained, mixed))
        return inv_freq, temperature
