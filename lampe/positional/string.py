"""STRING: positions shifted so that far tokens use well-trained ones."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from torch import Tensor

from lampe.positional.base import GENTLE_TEMPERATURE, RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region


@registry.register(
    "string",
    summary="true positions up to a shift, the same positions again beyond",
    paper="https://arxiv.org/abs/2410.18745",
)
class STRING(RemapEncoding):
    """Shifted rotary position embedding (An et al., arXiv 2410.18745): d below S, then d - S + W."""

    class Config(RemapConfig):
        """The fields of STRING.

        Attributes:
            shift: S in tokens; None is a third of the trained window.
            local: W in tokens, where the second part begins; None is 128, at most a sixth of the trained window.
        """

        kind: Literal["string"] = "string"
        shift: int | None = Field(default=None, ge=2)
        local: int | None = Field(default=None, ge=1)

        @model_validator(mode="after")
        def _shifts_back(self) -> STRING.Config:
            if self.shift is not None and self.local is not None and self.local > self.shift:
                raise ValueError(f"local = {self.local} must not exceed shift = {self.shift}")
            return self

    reach_formula = "L + S - W, if S <= L"

    @property
    def shift(self) -> int:
        """S in tokens."""
        return int(self.config.shift or max(2, self.window // 3, self.config.local or 0))

    @property
    def local(self) -> int:
        """W in tokens."""
        return int(self.config.local or max(1, min(128, self.window // 6, self.shift)))

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        return inv_freq, temperature * GENTLE_TEMPERATURE

    def regions(self, length: int) -> tuple[Region, ...]:
        back = self.shift - self.local
        return Region.band("near", 0, self.shift), Region.band("far", self.shift, query_position=lambda i: i - back)

    def reach(self) -> float:
        return self.window + self.shift - self.local if self.shift <= self.window else self.window

    def fields_for(self, length: int) -> dict[str, Any]:
        """The least shift, from a third of L up, that keeps both parts inside the trained window; L where none does."""
        w = self.local
        return {"shift": max(2, self.window // 3, w, min(length - self.window + w, self.window))}
