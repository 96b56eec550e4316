"""Regions: which keys a query owns, and at which coordinates the pair is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

IndexMap = Callable[[Tensor], Tensor]
"""Token indices, int64 [n] -> coordinates [n], or [n, groups] where frequency groups have coordinates of their own.

Two regions share a key coordinate when their functions compare equal (the same function, or equal frozen dataclasses):
that is how a cache knows that keys rotated for one region serve another as they are.
"""


def identity(index: Tensor) -> Tensor:
    """The true position."""
    return index


def zero(index: Tensor) -> Tensor:
    """The first key, or a position that is the same for all."""
    return torch.zeros_like(index)


def constant(value: int) -> IndexMap:
    """The same position for all."""
    return lambda index: torch.full_like(index, value)


def after_self(index: Tensor) -> Tensor:
    """One past the query's own key: the end of the causal interval."""
    return index + 1


@dataclass(frozen=True)
class Region:
    """The keys [start(i), stop(i)) of every query i; the score is RoPE at query_position(i) - key_position(j).

    Attributes:
        name: what pictures and messages call it.
        start: first key of query i; a value below 0 counts as 0.
        stop: one past the last key of query i; above i + 1 it counts as i + 1, below start the interval is empty.
        query_position: coordinate of query i in this region.
        key_position: coordinate of key j in this region.
    """

    name: str
    start: IndexMap = zero
    stop: IndexMap = after_self
    query_position: IndexMap = identity
    key_position: IndexMap = identity

    @classmethod
    def band(
        cls,
        name: str,
        nearest: int,
        farthest: int | None = None,
        *,
        query_position: IndexMap = identity,
        key_position: IndexMap = identity,
    ) -> Region:
        """The keys at distances nearest <= i - j < farthest (None: to the first key), in tokens."""
        start = zero if farthest is None else lambda i: i - (farthest - 1)
        return cls(name, start, lambda i: i - (nearest - 1), query_position, key_position)

    def interval(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Start and stop, both int64 [n], of the queries [n], clamped to the causal range."""
        start = self.start(queries).clamp(min=0)
        stop = torch.minimum(self.stop(queries), queries + 1)
        return start, torch.maximum(stop, start)

    def check(self, length: int) -> None:
        """Try the functions on some indices below `length`.

        Raises:
            ValueError: one does not map a tensor of indices to as many numbers, or a position is not finite.
        """
        probe = torch.tensor(sorted({0, length // 2, length - 1}))
        for name in ("start", "stop", "query_position", "key_position"):
            self._tried(name, probe)
        start, stop = self.interval(probe)
        used = stop > start
        owned = torch.cat([start[used], stop[used] - 1])
        for name, indices in (("query_position", probe[used]), ("key_position", owned)):
            positions = self._tried(name, indices)
            if not positions.isfinite().all():
                raise ValueError(f"region {self.name!r}: {name} of tokens {indices.tolist()} is {positions.tolist()}")

    def _tried(self, name: str, indices: Tensor) -> Tensor:
        try:
            found = getattr(self, name)(indices)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"region {self.name!r}: {name} takes no tensor of token indices: {error}") from error
        if not isinstance(found, Tensor) or found.shape[:1] != indices.shape:
            shown = list(found.shape) if isinstance(found, Tensor) else repr(found)
            raise ValueError(
                f"region {self.name!r}: {name} of {len(indices)} token indices gives {shown}; a tensor of "
                f"{len(indices)} numbers would be accepted (torch.full_like for one and the same)"
            )
        return found

    def within(self, window: int) -> Region:
        """The same region without keys at distances of `window` tokens or more."""
        start = self.start
        return replace(self, start=lambda i: torch.maximum(start(i), i - (window - 1)))
