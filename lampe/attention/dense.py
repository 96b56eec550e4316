"""The oracle: the full relative-position matrix, no cleverness."""

from __future__ import annotations

from typing import Literal

import torch
from einops import repeat
from torch import Tensor

from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.rotation import rotate, tables
from lampe.attention.view import PlanView


@registry.register("dense", summary="the oracle: every pair scored at its relative position in fp64, quadratic memory")
class DenseAttention(AttentionBackend):
    """Scores every pair as RoPE at its relative position. For tests and pictures: memory is t * s * d."""

    class Config(BackendConfig):
        kind: Literal["dense"] = "dense"

    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        if view.stored is not None:
            key = self._unrotated(key, view)
        q, k, v = (x.double() for x in (query, key, value))
        k, v = (repeat(x, "b g s d -> b (g n) s d", n=groups) for x in (k, v))
        scores = torch.full((*q.shape[:3], view.n_keys), -torch.inf, dtype=torch.float64, device=q.device)
        keys = torch.arange(view.n_keys)
        for seen in view.regions:
            region, (start, stop) = seen.region, seen.interval
            owned = (keys >= start[:, None]) & (keys < stop[:, None])  # [t, s]
            i, j = owned.nonzero(as_tuple=True)
            relative = region.query_position(view.queries)[i] - region.key_position(keys)[j]
            scores[:, :, i, j] = self._score(q[:, :, i], k[:, :, j], relative, view)
        scores *= view.plan.query_scale(view.queries).double().to(q.device)[:, None] * q.shape[-1] ** -0.5
        return (scores.softmax(dim=-1) @ v).to(query.dtype)

    @staticmethod
    def _score(q: Tensor, k: Tensor, relative: Tensor, view: PlanView) -> Tensor:
        """Dot products [b, h, n] of n pairs q, k [b, h, n, d] at relative positions [n] or [n, groups]."""
        inv_freq = view.plan.inv_freq.double()
        pairs = relative.double()[:, None] if relative.ndim == 1 else relative.double()
        angles = pairs.repeat_interleave(len(inv_freq) // pairs.shape[1], dim=1) * inv_freq  # [n, D / 2]
        cos, sin = tables(angles.to(q.device))
        rotated = rotate(q, cos, sin)
        return (rotated * k).sum(dim=-1)

    @staticmethod
    def _unrotated(key: Tensor, view: PlanView) -> Tensor:
        """Keys taken back from where they lie, [b, g, s, d] in fp64."""
        assert view.stored is not None
        angles = view.stored.angles(0, view.n_keys).double().to(key.device)
        return rotate(key.double(), *tables(-angles))
