"""A plan seen from consecutive queries: what every layer of one forward pass shares."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from lampe.attention.rotation import rotate, tables
from lampe.positional.layout import Coordinate, KeyLayout
from lampe.positional.plan import PositionPlan
from lampe.positional.region import Region

T = TypeVar("T")


GATHERED = 64
"""Keys up to which those that move are gathered and rotated in one piece with the new ones."""


@dataclass(frozen=True)
class Gather:
    """The rotation of a few scattered keys: their indices [n], cosines and sines [n, d]."""

    index: Tensor
    cos: Tensor
    sin: Tensor


class PlanView:
    """The queries first .. first + n_queries - 1 of a plan, over the keys 0 .. first + n_queries - 1.

    Cosines, sines, intervals and whatever a backend derives from them are computed once and kept as long as the view: a
    forward pass makes one view and shows it to all layers.

    Args:
        plan: the plan of the sequence.
        first: index of the first query in its sequence.
        n_queries: how many consecutive queries there are.
        stored: how the keys lie that a backend is given, None for keys as the projection made them.
        dtype: of queries and keys; angles are fp32, cosines and sines are cast afterwards.
    """

    def __init__(
        self,
        plan: PositionPlan,
        first: int,
        n_queries: int,
        *,
        stored: KeyLayout | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ):
        self.plan = plan
        self.first = first
        self.n_queries = n_queries
        self.n_keys = first + n_queries
        self.stored = stored
        self.dtype = dtype
        self.device = torch.device(device)
        self.queries = torch.arange(first, first + n_queries)
        self.memo: dict[Hashable, object] = {}
        self._memory: dict[str, Tensor] = {}

    @property
    def is_causal(self) -> bool:
        """Whether every query owns exactly the keys up to itself, in one region."""

        def check() -> bool:
            if len(self.plan.regions) != 1:
                return False
            start, stop = self.interval(self.plan.regions[0])
            return not bool(start.any()) and torch.equal(stop, self.queries + 1)

        return self.once("is_causal", check)

    def interval(self, region: Region) -> tuple[Tensor, Tensor]:
        """First key and one past the last key of every query, int64 [n_queries] each."""
        return self.once(("interval", region), lambda: region.interval(self.queries))

    def rotate_query(self, query: Tensor, region: Region) -> Tensor:
        """The queries [..., n_queries, d], rotated and scaled for a region; the next region's overwrite them."""
        cos, sin = self.once(("query", region), lambda: self._query_rotation(region))
        return rotate(query, cos, sin, out=self._buffer("query", query))

    def rotate_key(self, key: Tensor, region: Region) -> tuple[Tensor, int]:
        """The keys that the queries own in a region, where it reads them.

        Args:
            key: [..., n_keys, d], as `stored` says they lie.

        Returns:
            keys [..., n, d], a view of `key` where nothing needs rotating and otherwise overwritten by the next
            region's, and the index of the first of them.
        """
        begin, end = self.once(("keys", region), lambda: _span(*self.interval(region)))
        owned = key[..., begin:end, :]
        wanted = self.plan.coordinate(region)
        lies_there = ("lies there", region.key_position, begin, end)
        if self.stored and self.once(lies_there, lambda: self.stored.lies_at(wanted, begin, end)):  # type: ignore[union-attr]
            return owned, begin
        cos, sin = self.once(
            ("key", region.key_position, begin, end), lambda: self._key_rotation(wanted, begin, end)
        )
        return rotate(owned, cos, sin, out=self._buffer("key", owned)), begin

    def store(self, key: Tensor, cached: Tensor, before: KeyLayout | None = None) -> None:
        """Put the keys of the view's own tokens where the layout wants them, and move those that lie elsewhere.

        Args:
            key: [..., n_queries, d], of the view's own tokens, not rotated.
            cached: [..., n_keys, d], the keys of earlier tokens and room for these.
            before: how the earlier tokens' keys lie; None for as they will.
        """
        moves = self.once(("moves", before), lambda: self._moves(before))
        first = self.first
        if moves is None:
            self._store_new(key, cached[..., first:, :])
        elif isinstance(moves, Gather):
            cached[..., first:, :] = key
            chosen = cached.index_select(-2, moves.index)
            cached.index_copy_(cached.ndim - 2, moves.index, rotate(chosen, moves.cos, moves.sin, out=chosen))
        else:
            self._store_new(key, cached[..., first:, :])
            for begin, end, cos, sin in moves:
                part = cached[..., begin:end, :]
                rotate(part, cos, sin, out=part)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned the first time it was asked for under this name."""
        if name not in self.memo:
            self.memo[name] = make()
        return self.memo[name]  # type: ignore[return-value]

    def _buffer(self, name: str, like: Tensor) -> Tensor:
        """Memory for a rotated tensor, the same for all regions and layers: fresh memory costs more than rotating."""
        size = like.numel()
        memory = self._memory.get(name)
        if memory is None or memory.numel() < size:
            memory = self._memory[name] = torch.empty(size, dtype=like.dtype, device=like.device)
        return memory[:size].view(like.shape)

    def _query_rotation(self, region: Region) -> tuple[Tensor, Tensor]:
        angles = self.plan.angles(region.query_position(self.queries))
        return self._cos_sin(angles, self.plan.query_scale(self.queries)[:, None])

    def _key_rotation(self, wanted: Coordinate, begin: int, end: int) -> tuple[Tensor, Tensor]:
        angles = wanted.angles(begin, end)
        if self.stored is not None:
            # Both angles are rounded to fp32 as if each were used alone, so that rotating twice lands where once does.
            angles = angles.double() - self.stored.angles(begin, end).double()
        return self._cos_sin(angles)

    def _store_new(self, key: Tensor, out: Tensor) -> None:
        if self.stored is None:
            out.copy_(key)
            return
        stored = self.stored
        cos, sin = self.once("store", lambda: self._cos_sin(stored.angles(self.first, self.n_keys)))
        rotate(key, cos, sin, out=out)

    def _moves(self, before: KeyLayout | None) -> Gather | list[tuple[int, int, Tensor, Tensor]] | None:
        """What turns the earlier keys from one layout to that of the view; a few are gathered with the new ones."""
        if before is None or self.stored is None:
            return None
        moved = before.moves(self.stored, self.first)
        if not moved:
            return None
        turns = [
            self.stored.angles(begin, end).double() - before.angles(begin, end).double() for begin, end in moved
        ]
        if sum(map(len, turns)) + self.n_queries <= GATHERED:
            turns.append(self.stored.angles(self.first, self.n_keys).double())
            stretches = [torch.arange(begin, end) for begin, end in (*moved, (self.first, self.n_keys))]
            return Gather(torch.cat(stretches).to(self.device), *self._cos_sin(torch.cat(turns)))
        return [(begin, end, *self._cos_sin(turn)) for (begin, end), turn in zip(moved, turns, strict=True)]

    def _cos_sin(self, angles: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        cos, sin = tables(angles, scale)
        return cos.to(self.device, self.dtype), sin.to(self.device, self.dtype)


def _span(start: Tensor, stop: Tensor) -> tuple[int, int]:
    owns = stop > start
    if not owns.any():
        return 0, 0
    return int(start[owns].min()), int(stop[owns].max())
