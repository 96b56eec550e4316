"""LM-Infinite: a lambda-shaped mask and a ceiling on distances."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region, constant, zero


@registry.register(
    "lm-infinite",
    summary="the first tokens at a capped distance, and a window",
    paper="https://arxiv.org/abs/2308.16137",
)
class LMInfinite(RemapEncoding):
    """LM-Infinite (Han et al., arXiv 2308.16137): a query sees the first tokens, at most `window` away, and a window.

    The paper's ceiling is L itself, one more than a position that was ever trained; the default stays one below it.
    """

    class Config(RemapConfig):
        """The fields of LM-Infinite.

        Attributes:
            sinks: tokens kept from the beginning.
            window: distances below it are attended at their true position, and it is the ceiling of the sinks'
                positions, in tokens; None is one less than the trained window.
        """

        kind: Literal["lm-infinite"] = "lm-infinite"
        sinks: int = Field(default=10, ge=0)
        window: int | None = Field(default=None, ge=1)

    family = "window"
    reach_formula = "no end, if window < L"
    drops = "keys behind the window, but for the sinks"

    @property
    def recent(self) -> int:
        """Distances below it are attended."""
        return int(self.config.window or self.window - 1)

    def regions(self, length: int) -> tuple[Region, ...]:
        sinks, recent = self.config.sinks, self.recent

        def sinks_end(i: Tensor) -> Tensor:
            return (i - (recent - 1)).clamp(max=sinks)

        window = Region.band("window", 0, recent)
        return (Region("sinks", zero, sinks_end, constant(recent), zero), window) if sinks else (window,)

    def reach(self) -> float:
        return math.inf if self.recent < self.window else self.window
