"""LaMPE for the slow frequencies alone: the fast ones keep true positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.positional import IndexMap, LaMPE, Region


class LaMPEByParts(LaMPE):
    """A frequency that makes many turns in the trained window has met all its phases: it needs no mapping.

    NTK-by-parts and YaRN scale only slow frequencies for that reason; here only their positions are mapped. Fast ones
    keep the order of neighbouring tokens, which a mapping blurs.
    """

    class Config(LaMPE.Config):
        """The fields of LaMPE, and:

        Attributes:
            turns: frequencies that make at least so many full turns in the trained window keep true positions.
        """

        kind: Literal["lampe-by-parts"] = "lampe-by-parts"
        turns: float = Field(default=32.0, gt=0)

    @property
    def kept(self) -> int:
        """How many frequencies, from the fastest on, keep true positions."""
        inv_freq, _ = self.frequencies(self.window)
        return int((inv_freq.double() * self.window / (2 * math.pi) >= self.config.turns).sum())

    def regions(self, length: int) -> tuple[Region, ...]:
        regions = super().regions(length)
        kept, count = self.kept, self.rope.dim // 2
        if kept == 0 or len(regions) == 1:
            return regions
        if kept == count:
            return (Region("all"),)
        near = 1 if self.head else 0
        return regions[:near] + tuple(
            replace(
                region,
                query_position=Parted(region.query_position, kept, count),
                key_position=Parted(region.key_position, kept, count),
            )
            for region in regions[near:]
        )

    def largest_position(self, length: int) -> float:
        """That of the mapped frequencies; the others have met every phase, however far they go."""
        plain = LaMPE(
            head=self.head,
            tail=self.tail,
            span=self.span(length),
            variant=self.config.variant,
            fractional=self.config.fractional,
            original_window=self.config.original_window,
            checkpoint_scaling=self.config.checkpoint_scaling,
        )
        return plain.bind(self.rope).largest_position(length)

    def position_limit(self, length: int) -> float:
        """None where the mapped frequencies stay inside the trained window."""
        inside = self.largest_position(length) < self.window
        return math.inf if inside else float(self.window)


@dataclass(frozen=True)
class Parted:
    """True positions for the first frequencies and mapped ones for the rest: [n] -> [n, count]."""

    mapped: IndexMap
    kept: int
    count: int

    def __call__(self, index: Tensor) -> Tensor:
        mapped = self.mapped(index)
        true = index.to(mapped.dtype)
        return torch.cat(
            [true[:, None].expand(-1, self.kept), mapped[:, None].expand(-1, self.count - self.kept)], dim=1
        )
