"""DPE: groups of frequencies with positions of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.errors import ConfigError
from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.grouping import floored_group, floored_reach
from lampe.positional.region import Region


@registry.register(
    "dpe",
    summary="Self-Extend with a group size for each group of frequencies",
    paper="https://arxiv.org/abs/2504.18857",
)
class DPE(RemapEncoding):
    """Dimension-wise positional embeddings manipulation (Lu et al., arXiv 2504.18857).

    Distances below w are true in all dimensions. Beyond, group g of frequencies has i//s_g + w - w//s_g - j//s_g.
    """

    class Config(RemapConfig):
        """The fields of DPE.

        Attributes:
            window: w in tokens; None is 1024, at most a quarter of the trained window.
            scales: s_g, for groups of equally many frequencies from the highest to the lowest; the default was found
                for Llama-3-8B-Instruct at 128K tokens.
        """

        kind: Literal["dpe"] = "dpe"
        window: int | None = Field(default=None, ge=1)
        scales: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(2, 8, 2, 8, 32, 32, 32, 4), min_length=1)

    reach_formula = "(L - w) s + w with the least of the scales"

    @property
    def near(self) -> int:
        """w in tokens."""
        return int(self.config.window or max(1, min(1024, self.window // 4)))

    def regions(self, length: int) -> tuple[Region, ...]:
        w, scales = self.near, self.config.scales
        if (self.rope.dim // 2) % len(scales):
            raise ConfigError(
                f"dpe: scales = {scales}: {len(scales)} groups do not divide the {self.rope.dim // 2} frequencies"
            )
        key_position = Grouped(scales, (0,) * len(scales))
        query_position = Grouped(scales, tuple(w - w // scale for scale in scales))
        return Region.band("near", 0, w), Region.band(
            "far", w, query_position=query_position, key_position=key_position
        )

    def reach(self) -> float:
        return min(floored_reach(scale, self.near, self.window) for scale in self.config.scales)

    def fields_for(self, length: int) -> dict[str, Any]:
        """The published scales, each at least what maps the input inside the trained window."""
        needed = floored_group(length, self.near, self.window)
        return {"scales": tuple(max(scale, needed) for scale in self.config.scales)}


@dataclass(frozen=True)
class Grouped:
    """index // scale + shift in every group: int64 [n] -> [n, groups]."""

    scales: tuple[int, ...]
    shifts: tuple[int, ...]

    def __call__(self, index: Tensor) -> Tensor:
        return index[:, None] // torch.tensor(self.scales) + torch.tensor(self.shifts)
