"""Position plans: everything attention needs to know of a positional method."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lampe.positional.layout import Coordinate, KeyLayout, Run, turn
from lampe.positional.region import Region

REMEMBERED_LAYOUTS = 64
"""Layouts that a plan keeps, so that rows that stand at the same query share one."""


@dataclass(frozen=True)
class PositionPlan:
    """How the tokens of one sequence are positioned.

    The regions are disjoint and, unless the method says what it drops, cover every causal pair. Coordinates are
    functions of the token index, so a plan made for `length` tokens goes on past them while decoding.

    Attributes:
        length: the number of tokens N the plan was made for.
        inv_freq: fp32 [D / 2], radians a position.
        regions: see `Region`.
        temperature: A; the logits of all pairs are multiplied by A^2.
        log_n_window: the L of log-n scaling, max(1, ln(i + 1) / ln(L)) on query i, or None for none.
    """

    length: int
    inv_freq: Tensor
    regions: tuple[Region, ...]
    temperature: float = 1.0
    log_n_window: int | None = None
    _layouts: dict[int, KeyLayout] = field(default_factory=dict, init=False, repr=False, compare=False)

    def angles(self, positions: Tensor) -> Tensor:
        """Radians, fp32 [n, D / 2], of coordinates [n] or [n, groups]; consecutive frequencies form a group."""
        return turn(positions, self.inv_freq)

    def query_scale(self, queries: Tensor) -> Tensor:
        """What the logits of queries [n] are multiplied by, fp32 [n]: A^2 and the log-n factor."""
        scale = torch.full(queries.shape, self.temperature**2, dtype=torch.float32, device=queries.device)
        if self.log_n_window is not None:
            growth = torch.log(queries.double() + 1) / torch.tensor(self.log_n_window, dtype=torch.float64).log()
            scale = scale * growth.clamp(min=1).float()
        return scale

    def agrees_with(self, other: PositionPlan, length: int) -> bool:
        """Whether both plans score all pairs of the first `length` tokens alike, whatever they were made for."""
        if (self.temperature, self.log_n_window) != (other.temperature, other.log_n_window):
            return False
        if len(self.regions) != len(other.regions) or not torch.equal(self.inv_freq, other.inv_freq):
            return False
        index = torch.arange(length)
        return all(_same_region(*pair, index) for pair in zip(self.regions, other.regions, strict=True))

    def layout(self, query: int) -> KeyLayout:
        """The coordinates at which a query reads the keys up to itself: how a cache keeps them for it."""
        if query not in self._layouts:
            index = torch.tensor([query])
            intervals = [(region, *region.interval(index)) for region in self.regions]
            self._layouts[query] = KeyLayout.of(
                [Run(int(start), int(stop), self.coordinate(region)) for region, start, stop in intervals], query + 1
            )
            while len(self._layouts) > REMEMBERED_LAYOUTS:
                self._layouts.pop(next(iter(self._layouts)))
        return self._layouts[query]

    def coordinate(self, region: Region) -> Coordinate:
        """Where a region reads its keys."""
        return Coordinate(region.key_position, self.inv_freq)

    def within(self, window: int | None) -> PositionPlan:
        """The plan of a layer that sees only distances below `window` tokens (None: the plan itself)."""
        if window is None:
            return self
        return replace(self, regions=tuple(region.within(window) for region in self.regions))

    def relative_positions(self, length: int | None = None) -> Tensor:
        """The relative position of every pair of the first `length` tokens (default: the planned length).

        Returns:
            [length, length], or [length, length, groups] where frequency groups differ; int64, or float64 for a method
            with fractional coordinates; -1 where a query does not attend a key. Quadratic: for tests and pictures.
        """
        index = torch.arange(self.length if length is None else length)
        table: Tensor | None = None
        for region in self.regions:
            start, stop = region.interval(index)
            owned = (index >= start[:, None]) & (index < stop[:, None])
            relative = region.query_position(index)[:, None] - region.key_position(index)[None, :]
            if table is None:
                table = torch.full_like(relative, -1)
            if max(relative.ndim, table.ndim) == 3:
                owned = owned[..., None]
            relative, table = _alike(relative, table)
            table = torch.where(owned, relative, table)
        if table is None:
            raise ValueError("a plan needs at least one region")
        return table

    def largest_position(self, length: int | None = None) -> float:
        """The largest relative position over all attended pairs of the first `length` tokens (default: planned length).

        Linear in `length` up to a logarithm, so it can be asked of a plan for a million tokens.
        """
        if self.regions == (Region("all"),):
            return float((self.length if length is None else length) - 1)
        queries = torch.arange(self.length if length is None else length)
        largest = 0.0
        for region in self.regions:
            start, stop = region.interval(queries)
            owns = stop > start
            if owns.any():
                nearest = _range_minimum(region.key_position(queries), start[owns], stop[owns])
                largest = max(largest, float((region.query_position(queries[owns]) - nearest).max()))
        return largest


def _same_region(a: Region, b: Region, index: Tensor) -> bool:
    """Whether two regions give the tokens of `index`, from the first one on, the same pairs and positions."""
    (start, stop), (other_start, other_stop) = a.interval(index), b.interval(index)
    owns = stop > start
    if not torch.equal(owns, other_stop > other_start):
        return False
    if not owns.any():
        return True
    if not torch.equal(start[owns], other_start[owns]) or not torch.equal(stop[owns], other_stop[owns]):
        return False
    used = index[int(start[owns].min()) : int(stop[owns].max())]
    return torch.equal(a.query_position(index[owns]), b.query_position(index[owns])) and torch.equal(
        a.key_position(used), b.key_position(used)
    )


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider dtype, and with a last axis for frequency groups when either has one."""
    dtype = torch.promote_types(a.dtype, b.dtype)
    ndim = max(a.ndim, b.ndim)
    a, b = (x.to(dtype) if x.ndim == ndim else x.to(dtype)[..., None] for x in (a, b))
    return a, b


def _range_minimum(values: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """Minimum of values[start:stop] for every pair, by a table of minima over runs of a power of two."""
    smallest = values[start]
    if bool((values.diff(dim=0) >= 0).all()):
        return smallest
    width = stop - start
    run, size = values, 1
    while size <= int(width.max()):
        fits = (width >= size) & (width < 2 * size)
        two_runs = torch.minimum(run[start[fits]], run[stop[fits] - size])
        smallest[fits] = two_runs
        if 2 * size <= len(values):
            run = torch.minimum(run[:-size], run[size:])
        size *= 2
    return smallest
