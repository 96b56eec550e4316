"""Qwen2, Qwen2.5 and Qwen3."""

from __future__ import annotations

from typing import Any, Literal

from lampe.config import ModelConfig
from lampe.models.family import ModelFamily, registry
from lampe.models.hf_config import Count, HeadDim, HFConfig
from lampe.models.windows import read_windows, write_windows


@registry.register("qwen2", summary="Qwen2, Qwen2.5", paper="https://arxiv.org/abs/2412.15115")
class Qwen2(ModelFamily):
    """Qwen2 and Qwen2.5: biases on q, k and v, never on o; upper layers slide if `use_sliding_window` says so."""

    class Config(ModelConfig):
        kind: Literal["qwen2"] = "qwen2"

    class HF(HFConfig):
        num_key_value_heads: Count | None = 32
        sliding_window: Count | None = 4096

    architectures = ("Qwen2ForCausalLM",)
    model_type = "qwen2"

    @classmethod
    def read(cls, hf: HFConfig) -> dict[str, Any]:
        return {"attention_bias": True, "sliding_windows": read_windows(hf)}

    def write(self) -> dict[str, Any]:
        return write_windows(self.config)


@registry.register("qwen3", summary="Qwen3, dense", paper="https://arxiv.org/abs/2505.09388")
class Qwen3(ModelFamily):
    """Qwen3: RMSNorm on every query and key head; `attention_bias` and sliding windows as in Llama and Qwen2."""

    class Config(ModelConfig):
        kind: Literal["qwen3"] = "qwen3"

    class HF(Qwen2.HF):
        head_dim: HeadDim | None = 128

    architectures = ("Qwen3ForCausalLM",)
    model_type = "qwen3"

    @classmethod
    def read(cls, hf: HFConfig) -> dict[str, Any]:
        return {
            "attention_bias": hf.attention_bias,
            "output_bias": hf.attention_bias,
            "qk_norm": True,
            "sliding_windows": read_windows(hf),
        }

    def write(self) -> dict[str, Any]:
        return {"attention_bias": self.config.attention_bias, **write_windows(self.config)}
