"""Attention backends: the registry, and the backends that come with lampe."""

from __future__ import annotations

from lampe.attention.auto import AutoAttention
from lampe.attention.base import AttentionBackend, BackendConfig, registry
from lampe.attention.chunked import ChunkedAttention
from lampe.attention.dense import DenseAttention
from lampe.attention.sdpa import SDPAAttention
from lampe.attention.view import PlanView

register = registry.register
names = registry.names
create = registry.create

__all__ = [
    "AttentionBackend",
    "AutoAttention",
    "BackendConfig",
    "ChunkedAttention",
    "DenseAttention",
    "PlanView",
    "SDPAAttention",
    "create",
    "names",
    "register",
    "registry",
]
