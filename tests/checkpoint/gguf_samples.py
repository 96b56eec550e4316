"""Small GGUF files for tests, written from transformers models the way llama.cpp's conversion writes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType, GGUFWriter
from numpy.typing import NDArray
from tokenizers.pre_tokenizers import ByteLevel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

Metadata = Callable[[GGUFWriter], None]

SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
}


def random_model(family: str, **config: Any) -> transformers.PreTrainedModel:
    """A small float32 model of a family ("Llama", "Mistral", "Qwen2", "Qwen3") whose every parameter is random."""
    torch.manual_seed(0)
    settings = getattr(transformers, f"{family}Config")(**{**SIZES, **config})
    model = getattr(transformers, f"{family}ForCausalLM")(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.normal_(1.0 if "norm" in name else 0.0, 0.3)
    return model


def permute(weights: NDArray[Any], n_head: int) -> NDArray[Any]:
    """llama.cpp's reordering of the rows of q and k."""
    return (
        weights.reshape(n_head, 2, weights.shape[0] // n_head // 2, *weights.shape[1:])
        .swapaxes(1, 2)
        .reshape(weights.shape)
    )


@dataclass
class Sample:
    """What goes into a GGUF file; a test changes the parts it is about.

    Attributes:
        model: whose weights and sizes are written.
        arch: general.architecture.
        kind: storage type of the matrices; vectors stay F32.
        edit: changes the tensors by llama.cpp's names, just before they are written.
        metadata: writes further entries, after the usual ones.
        skip: usual entries to leave out, e.g. "llama.block_count".
        tokenizer: writes the entries of the tokenizer.
    """

    model: transformers.PreTrainedModel
    arch: str = "llama"
    kind: GGMLQuantizationType = GGMLQuantizationType.F32
    edit: Callable[[dict[str, NDArray[Any]]], None] = lambda tensors: None
    metadata: Metadata = lambda writer: None
    skip: frozenset[str] = frozenset()
    tokenizer: Metadata = field(default_factory=lambda: byte_tokenizer())

    def tensors(self) -> dict[str, NDArray[Any]]:
        config = self.model.config
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[self.arch.upper()], config.num_hidden_layers)
        tensors = {}
        for name, value in self.model.state_dict().items():
            if name == "lm_head.weight" and config.tie_word_embeddings:
                continue
            array = value.numpy()
            if self.arch == "llama" and ".q_proj." in name:
                array = permute(array, config.num_attention_heads)
            if self.arch == "llama" and ".k_proj." in name:
                array = permute(array, config.num_key_value_heads)
            tensors[names.get_name(name, try_suffixes=(".weight", ".bias"))] = array
        if config.rope_parameters["rope_type"] == "llama3":
            tensors["rope_freqs.weight"] = frequency_divisors(config)
        return tensors

    def write(self, path: Path, endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE) -> Path:
        writer = GGUFWriter(path, self.arch, endianess=endianess)
        self._write_sizes(writer)
        self.tokenizer(writer)
        for key in self.skip:
            for entries in writer.kv_data:
                entries.pop(key, None)
        self.metadata(writer)
        tensors = self.tensors()
        self.edit(tensors)
        for name, array in tensors.items():
            if array.ndim > 1 and array.dtype == np.float32 and self.kind != GGMLQuantizationType.F32:
                writer.add_tensor(name, gguf.quantize(array, self.kind), raw_dtype=self.kind)
            else:
                writer.add_tensor(name, np.ascontiguousarray(array))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _write_sizes(self, writer: GGUFWriter) -> None:
        config = self.model.config
        writer.add_block_count(config.num_hidden_layers)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        head_dim = getattr(config, "head_dim", None)
        if head_dim is not None and head_dim != config.hidden_size // config.num_attention_heads:
            writer.add_key_length(head_dim)
            writer.add_value_length(head_dim)
        window = getattr(config, "sliding_window", None)
        if window is not None:
            writer.add_sliding_window(window)
        rope = config.rope_parameters
        if rope["rope_type"] in ("linear", "yarn"):
            writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
            writer.add_rope_scaling_factor(rope["factor"])
        if rope["rope_type"] == "yarn":
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])


def frequency_divisors(config: transformers.PretrainedConfig) -> NDArray[np.float32]:
    """rope_freqs.weight of a llama3 scaling, from transformers' own frequencies."""
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    dim = 2 * scaled.numel()
    plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, dim, 2) / dim)
    return (plain / scaled).numpy().astype(np.float32)


def byte_tokenizer(
    pre: str | None = "smollm",
    tokens: list[str] | None = None,
    merges: list[str] | None = None,
    control: tuple[str, ...] = ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    user_defined: tuple[str, ...] = (),
    **ids: int,
) -> Metadata:
    """Byte-level BPE: `tokens` and then the control and the user-defined ones.

    Args:
        tokens: in GPT-2's printable alphabet; the 256 bytes and one merge without it.
        ids: bos, eos, ... to token ids; eos is the last control token without them.
    """
    if tokens is None:
        tokens, merges = [*sorted(ByteLevel.alphabet()), "he"], ["h e"]

    def write(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        if pre is not None:
            writer.add_tokenizer_pre(pre)
        writer.add_token_list([*tokens, *control, *user_defined])
        writer.add_token_types(list(itertools.chain([1] * len(tokens), [3] * len(control), [4] * len(user_defined))))
        if merges is not None:
            writer.add_token_merges(merges)
        for name, token in (ids or {"eos": len(tokens) + len(control) - 1}).items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)

    return write
