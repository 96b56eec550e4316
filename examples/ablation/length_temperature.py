"""LaMPE with a temperature that follows the length."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.positional import LaMPE
from lampe.positional.base import RemapEncoding


class LaMPELengthTemperature(LaMPE):
    """A is 1 up to the trained window, and 1 + strength ln(N / L) beyond, as YaRN sharpens with its factor.

    The more keys share the softmax, the more of it they take from the right one; inside the window the model was
    trained with A = 1. It takes the place of the profile's temperature and of GENTLE_TEMPERATURE; that of a
    checkpoint's scaling which is kept stays, as a factor. All else is LaMPE.
    """

    class Config(LaMPE.Config):
        """The fields of LaMPE, and:

        Attributes:
            strength: of the logarithm; 0.1 is YaRN's, 0 leaves A at 1.
        """

        kind: Literal["lampe-length-temperature"] = "lampe-length-temperature"
        strength: float = Field(default=0.1, ge=0)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        # Not LaMPE's own, whose temperature this one replaces.
        inv_freq, temperature = RemapEncoding.frequencies(self, length)
        return inv_freq, temperature * (1 + self.config.strength * math.log(max(1.0, length / self.window)))
