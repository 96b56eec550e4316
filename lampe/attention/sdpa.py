"""Single-region plans through torch's scaled_dot_product_attention."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.view import PlanView


@registry.register("sdpa", summary="torch's fused attention, for plans of one causal region")
class SDPAAttention(AttentionBackend):
    """Plain causal attention after the rotation.

    Queries that follow a cache need a mask of t x s here; "chunked" needs none.
    """

    class Config(BackendConfig):
        kind: Literal["sdpa"] = "sdpa"

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        if not view.is_causal:
            names = ", ".join(region.name for region in view.plan.regions)
            raise ValueError(f"sdpa takes plans of one causal region, not ({names}); use attention 'auto' or 'chunked'")
        region = view.plan.regions[0]
        rotated, _ = view.rotate_key(key, region)
        query = view.rotate_query(query, region)
        mask = None
        if 1 < view.n_queries < view.n_keys:
            keys = torch.arange(view.n_keys)
            mask = view.once("causal mask", lambda: (keys <= view.queries[:, None]).to(query.device))
        return scaled_dot_product_attention(
            query, rotated, value, attn_mask=mask, is_causal=view.n_queries == view.n_keys, enable_gqa=True
        )
