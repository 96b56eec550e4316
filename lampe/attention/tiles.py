"""Cutting a region into tiles that a fused kernel runs without an N x N mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lampe.attention.view import PlanView, RegionView

Shape = Literal["rectangle", "causal", "anticausal", "strips"]

WIDE = 16
"""Blocks of keys from which on a band is cheaper in three parts, of which only the two edges are masked."""


@dataclass(frozen=True)
class Tile:
    """A block of a view's queries against a block of keys, both as half-open ranges.

    Attributes:
        queries: counted from the first of the view.
        keys: counted from the first of the sequence.
        shape: every pair; of a square the pairs with key <= query ("causal") or with key >= query ("anticausal"); of
            every `strip` queries the pairs with a window of keys that begins `strip` keys later each time ("strips").
        bias: where no shape fits, 0 for the pairs of the tile and -inf for the others, [queries, keys]; of strips
            [strip, keys of a window], the same for all.
        strip: queries of a strip.
    """

    queries: tuple[int, int]
    keys: tuple[int, int]
    shape: Shape = "rectangle"
    bias: Tensor | None = None
    strip: int = 0


def cut(view: PlanView, region: RegionView, block: int) -> list[Tile]:
    """Tiles that are disjoint and together hold every pair of a region.

    Where one end of the queries' intervals stays and the other moves along with the query, one rectangle and one
    triangle do, however many queries there are; where both move along (a band), strips of at most `block` queries with
    one mask for all. Elsewhere up to `block` queries at a time get a rectangle and masked edges of at most `block`
    keys; where an end jumps farther, a block ends.
    """
    start, stop = region.interval
    run_end = _run_ends(start, stop)
    owners = (stop > start).nonzero()[:, 0].tolist()
    tiles: list[Tile] = []
    done = 0
    for query in owners:
        if query < done:
            continue
        straight = _straight(view, start, stop, query, run_end[query], block)
        if straight:
            tiles.extend(straight)
            done = max(tile.queries[1] for tile in straight)
        else:
            done = _near(start, stop, query, block)
            tiles.extend(_irregular(view, start, stop, query, done))
    return tiles


def _run_ends(start: Tensor, stop: Tensor) -> list[int]:
    """For every query the end of the run of queries over which both ends move in even steps, beginning with it."""
    count = len(start)
    steps = torch.stack([start.diff(), stop.diff()], dim=1)
    changes = (steps[1:] != steps[:-1]).any(dim=1).nonzero()[:, 0] + 2
    boundaries = torch.cat([changes, torch.tensor([count])])
    # A run that begins with query i is ended by the first change of step after it.
    nearest = torch.searchsorted(boundaries, torch.arange(count) + 2)
    return boundaries[nearest.clamp(max=len(boundaries) - 1)].tolist()


def _near(start: Tensor, stop: Tensor, first: int, block: int) -> int:
    """Where to end a block of queries from `first` on, so that neither end moves by more than `block` keys in it."""
    moved = torch.maximum(
        (start[first : first + block] - start[first]).abs(), (stop[first : first + block] - stop[first]).abs()
    )
    jumps = (moved > block).nonzero()[:, 0]
    return first + (int(jumps[0]) if len(jumps) else len(moved))


def _straight(view: PlanView, start: Tensor, stop: Tensor, first: int, last: int, block: int) -> list[Tile]:
    """The tiles of queries over which both ends move in even steps; none where they are few or no shape fits."""
    if last - first <= block:
        return []
    slope = (int(start[first + 1] - start[first]), int(stop[first + 1] - stop[first]))
    if start[last - 1] == stop[last - 1]:
        # The start has just caught up with the stop: a query without keys ends the run.
        last -= 1
    low, high = int(start[first]), int(stop[last - 1])
    queries = (first, last)
    if slope == (0, 0):
        return [Tile(queries, (low, high))]
    if slope == (0, 1):
        corner = int(stop[first]) - 1
        return [*_rectangle(queries, low, corner), Tile(queries, (corner, high), "causal")]
    if slope == (1, 0):
        corner = int(start[last - 1]) + 1
        return [Tile(queries, (low, corner), "anticausal"), *_rectangle(queries, corner, high)]
    if slope == (1, 1):
        return list(_band(view, start, stop, first, last, block))
    return []


def _band(view: PlanView, start: Tensor, stop: Tensor, first: int, last: int, block: int) -> Iterator[Tile]:
    """Strips of queries whose intervals all have one width and move along; queries left over are for others to tile."""
    width = int(stop[first] - start[first])
    # A strip scores strip - 1 keys too many for every query, so narrow bands take narrow strips.
    strip = block if width >= 8 * block else max(1, block // 4)
    last = first + (last - first) // strip * strip
    start, stop = start[first : first + strip], stop[first : first + strip]
    low, high = int(start[0]), int(stop[-1])
    inner = (int(start[-1]), int(stop[0])) if width > WIDE * block else (high, high)
    travel = last - first - strip
    for begin, end in ((low, inner[0]), inner, (inner[1], high)):
        if begin < end:
            bias = _bias(view, start, stop, begin, end)
            yield Tile((first, last), (begin, end + travel), "strips", bias, strip)


def _rectangle(queries: tuple[int, int], low: int, high: int) -> list[Tile]:
    return [Tile(queries, (low, high))] if low < high else []


def _irregular(view: PlanView, start: Tensor, stop: Tensor, first: int, last: int) -> Iterator[Tile]:
    """A rectangle of the keys that all queries own, and masked edges."""
    start, stop = start[first:last], stop[first:last]
    owns = stop > start
    low, high = int(start[owns].min()), int(stop[owns].max())
    inner_low, inner_high = (int(start.max()), int(stop.min())) if owns.all() else (0, 0)
    if inner_high - inner_low < 2 * (last - first):
        # Nearly all of it is edge: one masked tile costs less than three merged ones.
        inner_low = inner_high = high
    for keys in ((low, inner_low), (inner_low, inner_high), (inner_high, high)):
        if keys[0] < keys[1]:
            yield Tile((first, last), keys, bias=_bias(view, start, stop, *keys))


def _bias(view: PlanView, start: Tensor, stop: Tensor, low: int, high: int) -> Tensor | None:
    """0 where a query owns a key of low .. high and -inf elsewhere; None if every query owns every key.

    Blocks along a diagonal share one mask.
    """
    width = high - low
    start, stop = (start - low).clamp(0, width), (stop - low).clamp(0, width)
    if not start.any() and bool((stop == width).all()):
        return None

    def make() -> Tensor:
        keys = torch.arange(width)
        owned = (keys >= start[:, None]) & (keys < stop[:, None])
        return torch.zeros(owned.shape, dtype=view.dtype).masked_fill_(~owned, -torch.inf).to(view.device)

    return view.once(("bias", width, tuple(start.tolist()), tuple(stop.tolist())), make)
