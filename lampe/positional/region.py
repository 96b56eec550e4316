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

    def check(self, length: int, frequencies: int) -> None:
        """Try the functions on some indices below `length`.

        Args:
            length: in tokens.
            frequencies: how many there are, D / 2.

        Raises:
            ValueError: one does not map a tensor of indices to as many numbers, whole ones where they say which keys; a
                position is not finite; or groups of coordinates do not divide the frequencies.
        """
        probe = torch.tensor(sorted({0, length // 2, length - 1}))
        for name in ("start", "stop"):
            found = self._tried(name, probe)
            if found.dtype.is_floating_point or found.ndim != 1:
                raise ValueError(
                    f"region {self.name!r}: {name} gives {found.dtype} {list(found.shape)}; a whole number for each "
                    f"query, int64 {list(probe.shape)}, would be accepted"
                )
        for name in ("query_position", "key_position"):
            found = self._tried(name, probe)
            if found.ndim > 2 or (found.ndim == 2 and (not found.shape[1] or frequencies % found.shape[1])):
                raise ValueError(
                    f"region {self.name!r}: {name} gives {list(found.shape)}; a coordinate for each token, or one for "
                    f"each of so many groups as divide the {frequencies} frequencies, would be accepted"
                )
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
