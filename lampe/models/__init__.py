"""The model families that lampe reads, and the one decoder that runs them all."""

from __future__ import annotations

from lampe.models.family import ModelFamily, family_of, registry
from lampe.models.hf_config import HFConfig
from lampe.models.llama import Llama
from lampe.models.mistral import Mistral
from lampe.models.qwen import Qwen2, Qwen3

register = registry.register
names = registry.names

__all__ = [
    "HFConfig",
    "Llama",
    "Mistral",
    "ModelFamily",
    "Qwen2",
    "Qwen3",
    "family_of",
    "names",
    "register",
    "registry",
]
