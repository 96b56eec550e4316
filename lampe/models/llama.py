"""Llama 1 to 3.2, and what shares its architecture: SmolLM2, TinyLlama, Yi."""

from __future__ import annotations

from typing import Any, Literal

from lampe.config import ModelConfig
from lampe.models.family import ModelFamily, registry
from lampe.models.hf_config import HFConfig


@registry.register(
    "llama",
    summary="Llama 1, 2, 3 and look-alikes: SmolLM2, TinyLlama, Yi",
    paper="https://arxiv.org/abs/2407.21783",
)
class Llama(ModelFamily):
    """Llama: `attention_bias` puts biases on q, k, v and o, `mlp_bias` on all three projections of the MLP."""

    class Config(ModelConfig):
        kind: Literal["llama"] = "llama"

    architectures = ("LlamaForCausalLM",)
    model_type = "llama"

    @classmethod
    def read(cls, hf: HFConfig) -> dict[str, Any]:
        return {"attention_bias": hf.attention_bias, "output_bias": hf.attention_bias, "mlp_bias": hf.mlp_bias}

    def write(self) -> dict[str, Any]:
        return {"attention_bias": self.config.attention_bias, "mlp_bias": self.config.mlp_bias}
