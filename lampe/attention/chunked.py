"""Any plan, in memory linear in length: regions cut into tiles, tiles merged by log-sum-exp."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.kernels import tile_attention
from lampe.attention.merge import Merger
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

    def _cut(self, view: PlanView) -> list[tuple[RegionView, list[Tile]]]:
        """The regions that own any keys, with their tiles."""
        cuts = [(region, cut(view, region, self.config.query_block)) for region in view.regions]
        return [(region, tiles) for region, tiles in cuts if tiles]
