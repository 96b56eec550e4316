"""The backend that fits the plan."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.chunked import ChunkedAttention
from lampe.attention.sdpa import SDPAAttention
from lampe.attention.view import PlanView


@registry.register("auto", summary="sdpa for a whole prompt in one causal region, chunked otherwise")
class AutoAttention(AttentionBackend):
    """sdpa for one causal region of a whole prompt, chunked for several regions and for queries after a cache."""

    class Config(BackendConfig):
        kind: Literal["auto"] = "auto"

    def __init__(self, config: BackendConfig | None = None):
        super().__init__(config)
        self._sdpa = SDPAAttention()
        self._chunked = ChunkedAttention()

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        plain = view.n_queries == view.n_keys and self._sdpa.supports(view)
        return (self._sdpa if plain else self._chunked).forward(query, key, value, view)
