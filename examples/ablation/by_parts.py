"""LaMPE for the slow frequencies alone: the fast ones keep true positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.positional import IndexMap, LaMPE, PositionPlan, Region


class LaMPEByParts(LaMPE):
    """A frequency that makes many turns in the trained window has met all its phases: it needs no mapping.

    NTK-by-parts and YaRN scale only slow frequencies for that reason; here only their positions are mapped. Fast ones
    keep the order of neighbouring tokens, which a mapping blurs. `largest_position`, `reach` and the warning of `plan`
    are about the mapped frequencies, for the others have met every phase, however far they go.
    """

    class Config(LaMPE.Config):
        """The fields of LaMPE, and:

        Attributes:
            turns: frequencies that make at least so many full turns in the trained window keep true positions.
        """

        kind: Literal["lampe-by-parts"] = "lampe-by-parts"
        turns: float = Field(default=32.0, gt=0)

    @property
    def kept(self) -> tuple[bool, ...]:
        """Whether each of the D / 2 frequencies keeps true positions: L inv_freq / (2 pi) turns are enough."""
        inv_freq, _ = self.frequencies(self.window)
        return tuple((self.window * inv_freq.double() / (2 * math.pi) >= self.config.turns).tolist())

    def regions(self, length: int) -> tuple[Region, ...]:
        kept, mapped = self.kept, self._mapped(length)
        if not mapped:
            return (Region("all"),)
        if not any(kept) or len(mapped) == 1:
            return mapped
        # The true regions as well, so that head and tail go on sharing their keys.
        return tuple(
            replace(
                region,
                query_position=Parted(region.query_position, kept),
                key_position=Parted(region.key_position, kept),
            )
            for region in mapped
        )

    def largest_position(self, length: int) -> float:
        """That of the mapped frequencies; 0 where there are none."""
        mapped = self._mapped(length)
        if not mapped:
            return 0.0
        # As in LaMPE: that of the last query to the first key.
        last, first = torch.tensor([length - 1]), torch.tensor([0])
        return float(mapped[-1].query_position(last) - mapped[-1].key_position(first))

    def position_limit(self, length: int) -> float:
        """Infinite where the mapped frequencies stay inside the trained window: no position of the plan is untrained.

        So what compares it with the largest position of a whole plan, such as `lampe inspect`, finds it inside.
        """
        return math.inf if self.largest_position(length) < self.window else float(self.window)

    def plan(self, length: int, *, sliding_window: int | None = None) -> PositionPlan:
        """The plan for `length` tokens; warns, once, when the mapped frequencies leave the trained window."""
        plan = self._plan(length)
        mapped = replace(plan, regions=self._mapped(length)).within(sliding_window)
        if (largest := mapped.largest_position()) >= self.window:
            self._warn_once(
                f"{self.name}: {length} tokens reach relative position {largest:.0f} in the mapped frequencies, "
                f"outside the trained window of {self.window}"
            )
        return plan

    def _mapped(self, length: int) -> tuple[Region, ...]:
        """LaMPE's regions, as the mapped frequencies have them; empty where all frequencies are kept."""
        return () if all(self.kept) else super().regions(length)


@dataclass(frozen=True)
class Parted:
    """True positions for the frequencies that are kept, mapped ones for the rest: int64 [n] -> [n, D / 2].

    Attributes:
        mapped: the coordinate of the others, [n].
        kept: for each frequency.
    """

    mapped: IndexMap
    kept: tuple[bool, ...]

    def __call__(self, index: Tensor) -> Tensor:
        return torch.where(torch.tensor(self.kept), index[:, None], self.mapped(index)[:, None])
