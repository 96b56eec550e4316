"""Single-region plans through torch's scaled_dot_product_attention."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.fused import heads_for_cpu, pad_rows
from lampe.attention.view import PlanView
from lampe.errors import UnsupportedPlanError


@registry.register("sdpa", summary="torch's fused attention, for plans of one causal region")
class SDPAAttention(AttentionBackend):
    """Plain causal attention after the rotation.

    Queries that follow a cache need a mask of t x s here; "chunked" needs none.
    """

    class Config(BackendConfig):
        kind: Literal["sdpa"] = "sdpa"

    def supports(self, view: PlanView) -> bool:
        return view.is_causal

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        if not self.supports(view):
            names = ", ".join(region.name for region in view.plan.regions)
            # One region is not causal where the layer's own sliding window has cut it.
            cut = " cut by a sliding window" if len(view.plan.regions) == 1 else ""
            raise UnsupportedPlanError(
                f"sdpa takes plans of one causal region, not ({names}){cut}; use attention 'auto' or 'chunked'"
            )
        region = view.regions[0]
        rotated = region.rotate_key(key)
        query = region.rotate_query(query)
        if view.n_queries == view.n_keys:
            return _attention(query, rotated, value, is_causal=True)
        query = pad_rows(query)
        mask = view.once("causal mask", lambda: self._mask(view, query.shape[2]))
        out = _attention(query, rotated, value, attn_mask=mask)
        return out[:, :, : view.n_queries]

    @staticmethod
    def _mask(view: PlanView, rows: int) -> Tensor | None:
        """[rows, n_keys], true for the keys of each query; those behind the last query see what it sees."""
        if view.n_queries == 1:
            return None
        last = torch.arange(view.first, view.first + rows).clamp(max=view.n_keys - 1)
        return (torch.arange(view.n_keys) <= last[:, None]).to(view.device)


def _attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    # Grouped heads that torch's CPU kernel does not take cost it memory quadratic in length.
    key, value = heads_for_cpu(query, key, value)
    return scaled_dot_product_attention(query, key, value, enable_gqa=True, **options)
