"""Self-Extend: distant tokens share positions in groups."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.grouping import floored_group, floored_reach
from lampe.positional.plan import PositionPlan
from lampe.positional.region import Region


@registry.register(
    "self-extend",
    summary="true positions up to a window, groups of tokens on one position beyond",
    paper="https://arxiv.org/abs/2401.01325",
)
class SelfExtend(RemapEncoding):
    """Self-Extend (Jin et al., arXiv 2401.01325): d below W, then i//G + W - W//G - j//G.

    All divisions are floored. Where G does not divide W the two parts do not meet evenly, and the plan warns.
    """

    class Config(RemapConfig):
        """The fields of Self-Extend.

        Attributes:
            group: G, tokens that share a position.
            window: W in tokens; None is 1024, at most a quarter of the trained window.
        """

        kind: Literal["self-extend"] = "self-extend"
        group: int = Field(default=8, ge=1)
        window: int | None = Field(default=None, ge=1)

    reach_formula = "(L - W) G + W"

    @property
    def near(self) -> int:
        """W in tokens."""
        return int(self.config.window or max(1, min(1024, self.window // 4)))

    def regions(self, length: int) -> tuple[Region, ...]:
        w, group = self.near, int(self.config.group)
        shift = w - w // group

        def key_position(j: Tensor) -> Tensor:
            return j // group

        def query_position(i: Tensor) -> Tensor:
            return i // group + shift

        return Region.band("near", 0, w), Region.band(
            "far", w, query_position=query_position, key_position=key_position
        )

    def plan(self, length: int, *, sliding_window: int | None = None) -> PositionPlan:
        if self.near % self.config.group:
            self._warn_once(
                f"self-extend: group = {self.config.group} does not divide the window of {self.near}: "
                "positions step unevenly there",
                "group",
            )
        return super().plan(length, sliding_window=sliding_window)

    def reach(self) -> float:
        return floored_reach(self.config.group, self.near, self.window)

    def fields_for(self, length: int) -> dict[str, Any]:
        """The least group that maps the input onto two thirds of the trained window, as the authors advise.

        Where W leaves too little of them, the least that stays inside the window. A group up to twice as large that
        divides W is taken instead.
        """
        if length <= self.window:
            return {"group": 1}
        w = self.near
        advised = -((length - w) // -max(1, 2 * self.window // 3 - w))
        needed = floored_group(length, w, self.window)
        least = max(advised, needed) if advised <= 2 * needed else needed
        return {"group": next((group for group in range(least, 2 * least) if w % group == 0), least)}
