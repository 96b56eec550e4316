"""Leaky ReRoPE: positions that go on in small steps behind a window."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region


@registry.register(
    "leaky-rerope",
    summary="true positions up to a window, fractional steps of 1/factor beyond",
    paper="https://kexue.fm/archives/9708",
)
class LeakyReRoPE(RemapEncoding):
    """Leaky ReRoPE (Su, kexue.fm/archives/9708): distance d has position d below w, and w + (d - w) / k from there."""

    class Config(RemapConfig):
        """The fields of Leaky ReRoPE.

        Attributes:
            window: w in tokens; None is 512, at most half of the trained window.
            factor: k, tokens a position behind the window.
        """

        kind: Literal["leaky-rerope"] = "leaky-rerope"
        window: int | None = Field(default=None, ge=1)
        factor: float = Field(default=16.0, ge=1)

    reach_formula = "w + k (L - w)"

    @property
    def near(self) -> int:
        """w in tokens."""
        return int(self.config.window or min(512, self.window // 2))

    def regions(self, length: int) -> tuple[Region, ...]:
        w, k = self.near, float(self.config.factor)

        def key_position(j: Tensor) -> Tensor:
            return j.double() / k

        def query_position(i: Tensor) -> Tensor:
            return i.double() / k + (w - w / k)

        return Region.band("near", 0, w), Region.band(
            "far", w, query_position=query_position, key_position=key_position
        )

    def reach(self) -> float:
        w, k = self.near, float(self.config.factor)
        return max(self.window, math.ceil(w + k * (self.window - w)))

    def fields_for(self, length: int) -> dict[str, Any]:
        """The least factor, in sixteenths, that maps the input inside the trained window."""
        w = min(self.near, self.window - 1)
        return {"factor": max(1.0, math.ceil(16 * (length - w) / (self.window - w)) / 16)}
