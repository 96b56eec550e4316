"""Any plan, in memory linear in length: regions cut into tiles, tiles merged by log-sum-exp."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.fused import pad_rows
from lampe.attention.kernels import rows_attention, tile_attention
from lampe.attention.merge import NO_KEYS, Merger, merge
from lampe.attention.rotation import rotate
from lampe.attention.tiles import Tile, cut
from lampe.attention.view import PlanView, RegionView


@registry.register(
    "chunked", summary="any plan by fused tiles merged by log-sum-exp, linear memory", aliases=("tiled",)
)
class ChunkedAttention(AttentionBackend):
    """Multi-grained attention: one region after another, each in rectangles, triangles and masked edges."""

    class Config(BackendConfig):
        """The fields of the backend.

        Attributes:
            query_block: queries of a tile that needs a mask, at most.
        """

        kind: Literal["chunked"] = "chunked"
        query_block: int = Field(default=256, ge=1)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        if view.n_queries == 1:
            return self._single(query, key, value, view)
        tiles = view.once(("tiles", self.config.query_block), lambda: self._cut(view))
        merger = Merger(query)
        for region, cut_tiles in tiles:
            region_key, offset = region.rotate_key(key), region.keys[0]
            region_query = region.rotate_query(query)
            for tile in cut_tiles:
                (first, last), (low, high) = tile.queries, tile.keys
                output, log_sum_exp = tile_attention(
                    region_query[:, :, first:last],
                    region_key[:, :, low - offset : high - offset],
                    value[:, :, low:high],
                    shape=tile.shape,
                    bias=tile.bias,
                    strip=tile.strip,
                )
                merger.add(first, last, output, log_sum_exp)
        return merger.result()

    def _single(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        """One query a row: every region is one rectangle; what is left to save is the number of small operations."""
        regions, (cos, sin) = view.once("single", lambda: self._owning(view))
        groups = key.shape[1]
        # Heads that share keys are the rows of one query, in fours as the CPU's kernel wants them.
        rows = query.reshape(len(query), groups, -1, query.shape[3])
        n_rows = rows.shape[2]
        rows = pad_rows(rows)
        rows = rotate(rows.expand(len(regions), *rows.shape), cos, sin)
        parts = []
        for region, region_rows in zip(regions, rows, strict=True):
            begin, end = region.keys
            parts.extend(rows_attention(region_rows, region.rotate_key(key), value[:, :, begin:end]))
        output = merge([output for output, _ in parts], [log_sum_exp for _, log_sum_exp in parts])
        return output[:, :, :n_rows].reshape(query.shape)

    @staticmethod
    def _owning(view: PlanView) -> tuple[list[RegionView], tuple[Tensor, Tensor]]:
        """The regions that own any keys of a single query, and its rotations in them, [regions, 1, 1, 1, d]."""
        regions = [region for region in view.regions if region.keys[0] < region.keys[1]]
        if not regions:
            raise ValueError(NO_KEYS)
        cos, sin = (torch.stack(x)[:, None, None] for x in zip(*(r.query_rotation for r in regions), strict=True))
        return regions, (cos, sin)

    def _cut(self, view: PlanView) -> list[tuple[RegionView, list[Tile]]]:
        """The regions that own any keys, with their tiles."""
        cuts = [(region, cut(view, region, self.config.query_block)) for region in view.regions]
        return [(region, tiles) for region, tiles in cuts if tiles]
