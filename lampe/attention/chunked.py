"""Any plan, in memory linear in length: regions cut into tiles, tiles merged by log-sum-exp."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.kernels import tile_attention
from lampe.attention.merge import Merger
from lampe.attention.tiles import cut
from lampe.attention.view import PlanView


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
        merger = Merger(query)
        block = self.config.query_block
        for region in view.plan.regions:
            tiles = view.once(("tiles", region, block), lambda region=region: cut(view, region, block))  # type: ignore[misc]
            if not tiles:
                continue
            region_key, offset = view.rotate_key(key, region)
            region_query = view.rotate_query(query, region)
            for tile in tiles:
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
