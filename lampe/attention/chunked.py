"""Any plan, in memory linear in length: regions cut into tiles, tiles merged by log-sum-exp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.kernels import merge_tiles, tile_attention
from lampe.attention.view import PlanView
from lampe.positional.region import Region


@dataclass(frozen=True)
class Tile:
    """Keys begin .. end of a region against one block of queries; `bias` where not every query owns every key."""

    region: Region
    begin: int
    end: int
    bias: Tensor | None


@registry.register(
    "chunked", summary="any plan by fused tiles merged by log-sum-exp, linear memory", aliases=("tiled",)
)
class ChunkedAttention(AttentionBackend):
    """Multi-grained attention: blocks of queries, each over rectangles of the regions it meets.

    A block needs a mask only where the ends of its queries' intervals differ: at most `query_block` keys wide for
    intervals that end along a diagonal.
    """

    class Config(BackendConfig):
        """Attributes:
        query_block: queries a tile, in tokens.
        """

        kind: Literal["chunked"] = "chunked"
        query_block: int = Field(default=256, ge=1)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        rotated = [view.rotate_key(key, region) for region in view.plan.regions]
        keys = {id(region): keys for region, keys in zip(view.plan.regions, rotated, strict=True)}
        output = torch.empty_like(query)
        size = self.config.query_block
        for begin in range(0, view.n_queries, size):
            end = min(begin + size, view.n_queries)
            tiles = view.once(("tiles", begin, end), lambda b=begin, e=end: list(_tiles(view, b, e)))  # type: ignore[misc]
            queries: dict[int, Tensor] = {}
            parts = []
            for tile in tiles:
                name = id(tile.region)
                if name not in queries:
                    queries[name] = view.rotate_query(query[:, :, begin:end], tile.region, begin, end)
                region_keys, offset = keys[name]
                tile_keys = region_keys[:, :, tile.begin - offset : tile.end - offset]
                parts.append(tile_attention(queries[name], tile_keys, value[:, :, tile.begin : tile.end], tile.bias))
            output[:, :, begin:end] = merge_tiles(parts)
        return output


def _tiles(view: PlanView, begin: int, end: int) -> Iterator[Tile]:
    """The tiles that queries begin .. end of a view meet."""
    for region in view.plan.regions:
        start, stop = (bound[begin:end] for bound in view.interval(region))
        owns = stop > start
        if not owns.any():
            continue
        first, last = int(start[owns].min()), int(stop[owns].max())
        shared = (int(start.max()), int(stop.min())) if owns.all() else (0, 0)
        if shared[1] - shared[0] < 2 * (end - begin):
            # Nearly all of it is edge: one masked tile costs less than three merged ones.
            yield Tile(region, first, last, _bias(view, start, stop, first, last))
            continue
        if first < shared[0]:
            yield Tile(region, first, shared[0], _bias(view, start, stop, first, shared[0]))
        yield Tile(region, *shared, None)
        if shared[1] < last:
            yield Tile(region, shared[1], last, _bias(view, start, stop, shared[1], last))


def _bias(view: PlanView, start: Tensor, stop: Tensor, first: int, last: int) -> Tensor | None:
    """0 where a query owns a key of first .. last and -inf elsewhere, [t, last - first]; None if all own all.

    Blocks along a diagonal share one mask.
    """
    start, stop = (start - first).clamp(0, last - first), (stop - first).clamp(0, last - first)
    if not start.any() and bool((stop == last - first).all()):
        return None
    width = last - first

    def make() -> Tensor:
        keys = torch.arange(width)
        owned = (keys >= start[:, None]) & (keys < stop[:, None])
        bias = torch.zeros(owned.shape, dtype=view.dtype).masked_fill_(~owned, -torch.inf)
        return bias.to(view.device)

    return view.once(("bias", width, tuple(start.tolist()), tuple(stop.tolist())), make)
