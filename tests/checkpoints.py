"""Small random checkpoints of every family and variant, made by transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

WINDOW = 128
"""max_position_embeddings of every variant; scalings start from a quarter of it, sliding windows are 24 tokens."""

SHARD_SIZE = "100KB"

SHAPE: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 112,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def _variant(cls: type[PretrainedConfig], **fields: Any) -> Callable[[], PretrainedConfig]:
    return lambda: cls(**{**SHAPE, **fields})


def _rope(rope_type: str, **fields: Any) -> dict[str, Any]:
    return {"rope_type": rope_type, "rope_theta": 10000.0, **fields}


def _yarn(**fields: Any) -> Callable[[], PretrainedConfig]:
    rope = _rope("yarn", factor=4.0, original_max_position_embeddings=WINDOW // 4, **fields)
    return _variant(LlamaConfig, rope_parameters=rope)


LONGROPE = _rope(
    "longrope",
    short_factor=[1.0 + 0.05 * k for k in range(8)],
    long_factor=[1.0 + 0.7 * k for k in range(8)],
    original_max_position_embeddings=WINDOW // 4,
)
LLAMA3 = _rope(
    "llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=WINDOW // 4
)

VARIANTS: dict[str, Callable[[], PretrainedConfig]] = {
    "llama-mha": _variant(LlamaConfig, num_key_value_heads=4),
    "llama3": _variant(LlamaConfig, rope_parameters={**LLAMA3, "rope_theta": 500000.0}, rms_norm_eps=1e-5),
    "llama-linear": _variant(LlamaConfig, rope_parameters=_rope("linear", factor=2.0)),
    "llama-dynamic": _variant(LlamaConfig, rope_parameters=_rope("dynamic", factor=2.0)),
    "llama-yarn": _yarn(),
    "llama-yarn-attention-factor": _yarn(attention_factor=1.3, beta_fast=16.0, beta_slow=2.0),
    "llama-yarn-mscale": _yarn(mscale=1.0, mscale_all_dim=0.5, truncate=False),
    "llama-longrope": _variant(LlamaConfig, rope_parameters=LONGROPE),
    "llama-longrope-factor": _variant(LlamaConfig, rope_parameters={**LONGROPE, "factor": 3.0}),
    "llama-biases": _variant(LlamaConfig, attention_bias=True, mlp_bias=True),
    "llama-tied": _variant(LlamaConfig, tie_word_embeddings=True),
    "mistral-v0.1": _variant(MistralConfig, sliding_window=24),
    "mistral-v0.3": _variant(MistralConfig, sliding_window=None, rope_parameters=_rope("default", rope_theta=1e6)),
    "mistral-nemo": _variant(MistralConfig, sliding_window=None, head_dim=24),
    "qwen2": _variant(Qwen2Config, rope_parameters=_rope("default", rope_theta=1e6)),
    "qwen2-tied": _variant(Qwen2Config, tie_word_embeddings=True, num_key_value_heads=1),
    "qwen2-sliding": _variant(Qwen2Config, use_sliding_window=True, sliding_window=24, max_window_layers=1),
    "qwen3": _variant(Qwen3Config, head_dim=32, rope_parameters=_rope("default", rope_theta=1e6)),
    "qwen3-biases": _variant(Qwen3Config, head_dim=32, attention_bias=True, tie_word_embeddings=True),
}


def make(
    name: str, folder: Path, *, seed: int = 0, sharded: bool = False, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """Save a random model of a variant and return the model that transformers runs.

    Args:
        name: key of `VARIANTS`.
        folder: where config.json and the safetensors go.
        seed: of the weights.
        sharded: several files and an index instead of one.
        dtype: of the saved weights and of the returned model.
    """
    config = VARIANTS[name]()
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomise(model, seed)
    model.to(dtype)
    model.save_pretrained(folder, max_shard_size=SHARD_SIZE if sharded else "1GB")
    return model


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Draw all parameters anew.

    Weights are large enough that attention is uneven and logits spread by units, and no larger, since that would only
    amplify rounding. Norms and biases are random too, so that one which is left out or misplaced shows.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(_random(key, parameter, generator))


def _random(key: str, like: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(like.shape, generator=generator)
    if "norm" in key:
        return 1 + 0.3 * noise
    if key.endswith("bias"):
        return 0.3 * noise
    if "embed" in key:
        # Small beside what the layers add, or a model with tied embeddings would only ever repeat its input.
        return 0.2 * noise
    gain = 1.2 if key.endswith(("q_proj.weight", "k_proj.weight")) else 1.0
    return gain * noise / like.shape[1] ** 0.5
