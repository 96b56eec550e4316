"""The metadata of a GGUF file as a Hugging Face config.json."""

from __future__ import annotations

from typing import Any

from lampe.checkpoint.gguf_file import GGUFFile
from lampe.checkpoint.gguf_rope import rope_fields
from lampe.errors import CheckpointError

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
GGUF_ARCHITECTURES = ("llama", "qwen2", "qwen3")

# What this conversion understands, or what changes nothing. Any other key of the architecture may change what the
# model computes, so it is refused.
KNOWN_KEYS = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size"),
    *("attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("attention.layer_norm_rms_epsilon", "attention.sliding_window", "attention.causal"),
    *("rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor"),
    *("rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scaling.attn_factor"),
    *("rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow"),
    *("expert_count", "expert_used_count", "tensor_data_layout", "pooling_type"),
)


def read_config(file: GGUFFile, dtype: str) -> dict[str, Any]:
    """The fields of config.json, token ids excepted.

    Args:
        file: the GGUF file.
        dtype: what the weights will be written as, e.g. "bfloat16".

    Raises:
        CheckpointError: another architecture, a mixture of experts, a missing field, or one that is not understood.
    """
    if file.architecture not in GGUF_ARCHITECTURES:
        raise CheckpointError(
            f"{file.path.name}: general.architecture = {file.architecture!r}; accepted: "
            f"{', '.join(GGUF_ARCHITECTURES)} (mistral files say llama)"
        )
    _refuse_experts(file)
    _refuse_unknown_keys(file)
    hidden = _positive(file, "{arch}.embedding_length")
    heads, kv_heads, head_dim = _heads(file, hidden)
    max_position = _positive(file, "{arch}.context_length")
    window = file.value("{arch}.attention.sliding_window", int) or None
    family = _family(file, window)
    return {
        "architectures": [ARCHITECTURES[family]],
        "model_type": family,
        "vocab_size": _vocab_size(file),
        "hidden_size": hidden,
        "intermediate_size": _positive(file, "{arch}.feed_forward_length"),
        "num_hidden_layers": _positive(file, "{arch}.block_count", most=len(file.tensors)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": max_position,
        "rms_norm_eps": file.required("{arch}.attention.layer_norm_rms_epsilon", float),
        **rope_fields(file, head_dim, max_position),
        **_family_fields(file, family, window, max_position),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "torch_dtype": dtype,
    }


def _heads(file: GGUFFile, hidden: int) -> tuple[int, int, int]:
    """Query heads, key-value heads and head_dim."""
    heads = _positive(file, "{arch}.attention.head_count")
    kv_heads = file.value("{arch}.attention.head_count_kv", int) or heads
    head_dim = file.value("{arch}.attention.key_length", int) or hidden // heads
    value_dim = file.value("{arch}.attention.value_length", int) or head_dim
    if heads % kv_heads or head_dim % 2 or not head_dim or value_dim != head_dim:
        raise CheckpointError(
            f"{file.path.name}: {heads} heads, {kv_heads} key-value heads, key_length {head_dim}, value_length "
            f"{value_dim}; accepted: heads a multiple of key-value heads, both lengths even and equal"
        )
    return heads, kv_heads, head_dim


def _positive(file: GGUFFile, key: str, most: int | None = None) -> int:
    found = file.required(key, int)
    if found < 1 or (most is not None and found > most):
        name = key.format(arch=file.architecture)
        raise CheckpointError(f"{file.path.name}: {name} = {found}, expected 1 to {most or 'any number'}")
    return found


def _family(file: GGUFFile, window: int | None) -> str:
    if file.architecture != "llama":
        return file.architecture
    names = [file.value(f"general.{key}", str) or "" for key in ("basename", "name", "base_model.0.name")]
    named = any("mistral" in name.lower() for name in names)
    return "mistral" if (window or named) and not _has_bias(file, "attn_q", "ffn_up") else "llama"


def _family_fields(file: GGUFFile, family: str, window: int | None, max_position: int) -> dict[str, Any]:
    if family == "mistral":
        return {"sliding_window": window}
    if window is not None and window < max_position:
        raise CheckpointError(
            f"{file.architecture}.attention.sliding_window = {window} is below context_length = {max_position}, but "
            f"a GGUF file does not say which layers of a {family} model it holds for"
        )
    if family == "llama":
        return {"attention_bias": _has_bias(file, "attn_q"), "mlp_bias": _has_bias(file, "ffn_up")}
    return {"use_sliding_window": False} | ({"attention_bias": False} if family == "qwen3" else {})


def _has_bias(file: GGUFFile, *projections: str) -> bool:
    return any(f"blk.0.{projection}.bias" in file.tensors for projection in projections)


def _vocab_size(file: GGUFFile) -> int:
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise CheckpointError(f"{file.path.name}: tensor token_embd.weight is missing")
    return embedding.shape[0]


def _refuse_experts(file: GGUFFile) -> None:
    experts = file.value("{arch}.expert_count", int) or 0
    tensor = next((name for name in file.tensors if "_exps" in name or "ffn_gate_inp" in name), None)
    if experts or tensor:
        what = f"{file.architecture}.expert_count = {experts}" if experts else f"tensor {tensor}"
        raise CheckpointError(f"{file.path.name} is a mixture of experts ({what}); only dense models are accepted")


def _refuse_unknown_keys(file: GGUFFile) -> None:
    prefix = f"{file.architecture}."
    keys = [key for key in file.metadata_keys if key.startswith(prefix)]
    unknown = [key for key in keys if key.removeprefix(prefix) not in KNOWN_KEYS]
    if unknown:
        raise CheckpointError(
            f"{file.path.name}: {', '.join(map(repr, unknown))} is not among the metadata that this conversion "
            "understands, and leaving it out could change what the model computes"
        )
