"""ReRoPE: rectified positions."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region, constant, zero


@registry.register(
    "rerope", summary="true positions up to a window, one and the same beyond", paper="https://kexue.fm/archives/9708"
)
class ReRoPE(RemapEncoding):
    """ReRoPE (Su, kexue.fm/archives/9708): distance d has position min(d, w).

    The author's repository also scales queries by `log_n`, which is off here as it is for every method.
    """

    class Config(RemapConfig):
        """The fields of ReRoPE.

        Attributes:
            window: w in tokens; None is 512, at most half of the trained window.
        """

        kind: Literal["rerope"] = "rerope"
        window: int | None = Field(default=None, ge=1)

    reach_formula = "no end, if w < L"

    @property
    def near(self) -> int:
        """w in tokens."""
        return int(self.config.window or min(512, self.window // 2))

    def regions(self, length: int) -> tuple[Region, ...]:
        w = self.near
        return Region.band("near", 0, w), Region.band("far", w, query_position=constant(w), key_position=zero)

    def reach(self) -> float:
        return math.inf if self.near < self.window else self.window
