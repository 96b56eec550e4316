"""A plan seen from consecutive queries: what every layer of one forward pass shares."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from lampe.attention.rotation import rotate, tables
from lampe.positional.layout import KeyLayout
from lampe.positional.plan import PositionPlan
from lampe.positional.region import Region

T = TypeVar("T")


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

    @cached_property
    def is_causal(self) -> bool:
        """Whether every query owns exactly the keys up to itself, in one region."""
        if len(self.regions) != 1:
            return False
        start, stop = self.regions[0].interval
        return not bool(start.any()) and torch.equal(stop, self.queries + 1)

    @cached_property
    def regions(self) -> list[RegionView]:
        """The plan's regions, each seen from the queries."""
        return [RegionView(self, region) for region in self.plan.regions]

    def store(self, key: Tensor, out: Tensor) -> None:
        """Put the keys [..., n_queries, d] of the view's own tokens where the layout wants them, into `out`."""
        if self.stored is None:
            out.copy_(key)
            return
        stored = self.stored
        cos, sin = self.once("store", lambda: self.rotation(stored.angles(self.first, self.n_keys)))
        rotate(key, cos, sin, out=out)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned the first time it was asked for under this name."""
        if name not in self.memo:
            self.memo[name] = make()
        return self.memo[name]  # type: ignore[return-value]

    def buffer(self, name: str, like: Tensor) -> Tensor:
        """Memory for a rotated tensor, the same for all regions and layers: fresh memory costs more than rotating."""
        size = like.numel()
        memory = self._memory.get(name)
        if memory is None or memory.numel() < size:
            memory = self._memory[name] = torch.empty(size, dtype=like.dtype, device=like.device)
        return memory[:size].view(like.shape)

    def rotation(self, angles: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Cosines and sines for `rotate`, in the view's dtype."""
        cos, sin = tables(angles, scale)
        return cos.to(self.device, self.dtype), sin.to(self.device, self.dtype)


class RegionView:
    """A region of a plan, seen from a view's queries.

    Attributes:
        region: the region.
    """

    def __init__(self, view: PlanView, region: Region):
        self._view = view
        self.region = region

    @cached_property
    def interval(self) -> tuple[Tensor, Tensor]:
        """First key and one past the last key of every query, int64 [n_queries] each."""
        return self.region.interval(self._view.queries)

    @cached_property
    def keys(self) -> tuple[int, int]:
        """First and one past the last of the keys that any query owns; (0, 0) for none."""
        return _span(*self.interval)

    def rotate_query(self, query: Tensor) -> Tensor:
        """The queries [..., n_queries, d], rotated and scaled for the region; the next region's overwrite them."""
        return rotate(query, *self.query_rotation, out=self._view.buffer("query", query))

    def rotate_key(self, key: Tensor) -> Tensor:
        """The keys that the queries own, where the region reads them.

        Args:
            key: [..., n_keys, d], as the view says they lie.

        Returns:
            [..., n, d] for the keys of `keys`: a view of `key` where nothing needs rotating, and otherwise overwritten
            by the next region's.
        """
        begin, end = self.keys
        owned = key[..., begin:end, :]
        if self._key_rotation is None:
            return owned
        return rotate(owned, *self._key_rotation, out=self._view.buffer("key", owned))

    @cached_property
    def query_rotation(self) -> tuple[Tensor, Tensor]:
        """Cosines and sines [n_queries, d] for `rotate`, times the scale of the queries."""
        view = self._view
        angles = view.plan.angles(self.region.query_position(view.queries))
        return view.rotation(angles, view.plan.query_scale(view.queries)[:, None])

    @cached_property
    def _key_rotation(self) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines that take the keys to the region; None where they lie there."""
        view, (begin, end) = self._view, self.keys
        wanted = view.plan.coordinate(self.region)
        if view.stored is None:
            return view.rotation(wanted.angles(begin, end))
        if view.stored.lies_at(wanted, begin, end):
            return None
        # Both angles are rounded to fp32 as if each were used alone, so that rotating twice lands where once does.
        return view.rotation(wanted.angles(begin, end).double() - view.stored.angles(begin, end).double())


def _span(start: Tensor, stop: Tensor) -> tuple[int, int]:
    owns = stop > start
    if not owns.any():
        return 0, 0
    return int(start[owns].min()), int(stop[owns].max())
