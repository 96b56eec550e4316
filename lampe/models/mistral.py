"""Mistral 7B (v0.1 to v0.3) and Nemo."""

from __future__ import annotations

from typing import Any, Literal

from lampe.config import ModelConfig
from lampe.models.family import ModelFamily, registry
from lampe.models.hf_config import Count, HFConfig


@registry.register("mistral", summary="Mistral 7B v0.1 to v0.3, Nemo", paper="https://arxiv.org/abs/2310.06825")
class Mistral(ModelFamily):
    """Mistral: no biases; where `sliding_window` is a number (v0.1), every layer sees that many keys."""

    class Config(ModelConfig):
        kind: Literal["mistral"] = "mistral"

    class HF(HFConfig):
        num_key_value_heads: Count | None = 8
        sliding_window: Count | None = 4096

    architectures = ("MistralForCausalLM",)
    model_type = "mistral"

    @classmethod
    def read(cls, hf: HFConfig) -> dict[str, Any]:
        return {"sliding_windows": () if hf.sliding_window is None else (hf.sliding_window,) * hf.num_hidden_layers}

    def write(self) -> dict[str, Any]:
        return {"sliding_window": self.config.window_of(0)}
