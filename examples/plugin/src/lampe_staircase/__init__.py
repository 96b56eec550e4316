"""Staircase: the farther away tokens are, the larger the groups that share a position."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lampe.positional import IndexMap, Region, RemapConfig, RemapEncoding, register


@register("staircase", summary="true positions up to a window, groups of G beyond, groups of G^2 beyond R windows")
class Staircase(RemapEncoding):
    """d below W, then i//G + a - j//G, and from R W on i//G^2 + b - j//G^2.

    a = W - W//G, b = ceil(R W / G) + a - R W // G^2: each band begins at or just above the end of the one before it.
    """

    class Config(RemapConfig):
        """The fields of Staircase.

        Attributes:
            window: W in tokens; None is 1024, at most a quarter of the trained window.
            group: G, tokens that share a position in the first band; G^2 share one in the last.
            ratio: R, in windows: the distance at which the last band begins.
        """

        kind: Literal["staircase"] = "staircase"
        window: int | None = Field(default=None, ge=1)
        group: int = Field(default=4, ge=1)
        ratio: int = Field(default=4, ge=2)

    reach_formula = "G^2 (L - W - (R - 1) W / G) + R W, up to flooring"

    @property
    def near(self) -> int:
        """W in tokens."""
        return int(self.config.window or max(1, min(1024, self.window // 4)))

    def regions(self, length: int) -> tuple[Region, ...]:
        near, group = self.near, int(self.config.group)
        far, (first, second) = near * int(self.config.ratio), self.shifts(group)
        return (
            Region.band("near", 0, near),
            Region.band("first", near, far, query_position=steps(group, first), key_position=steps(group)),
            Region.band("last", far, query_position=steps(group**2, second), key_position=steps(group**2)),
        )

    def shifts(self, group: int) -> tuple[int, int]:
        """a and b in positions, for groups of `group` tokens."""
        near, far = self.near, self.near * int(self.config.ratio)
        first = near - near // group
        return first, -(far // -group) + first - far // group**2

    def reach(self) -> float:
        return self._reach(int(self.config.group))

    def fields_for(self, length: int) -> dict[str, Any]:
        """The least group that maps the input inside the trained window; 1 where none does."""
        return {"group": next((group for group in range(1, length + 1) if self._reach(group) >= length), 1)}

    def _reach(self, group: int) -> int:
        far, (first, second) = self.near * int(self.config.ratio), self.shifts(group)
        in_last = group**2 * (self.window - second)
        return max(self.window, in_last if in_last > far else min(far, group * (self.window - first)))


def steps(group: int, shift: int = 0) -> IndexMap:
    """Positions that grow by one every `group` tokens."""
    return lambda index: index // group + shift
