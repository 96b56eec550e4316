"""The tensors of a GGUF file under their Hugging Face names, with the rows of q and k back in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lampe.checkpoint.gguf_file import GGUFFile, GGUFTensor
from lampe.checkpoint.gguf_rope import FACTORS_TENSOR
from lampe.errors import CheckpointError

Shape = tuple[int, ...]
# The Hugging Face name, the shape, and the heads in which llama.cpp permutes the rows.
Wanted = tuple[str, Shape, int | None]


@dataclass(frozen=True)
class ConvertedTensor:
    """A tensor as it will be written.

    Attributes:
        name: the Hugging Face name.
        shape: as torch has it.
        source: where its numbers are.
        heads: how many heads its rows are permuted in, None where they are not.
    """

    name: str
    shape: Shape
    source: GGUFTensor
    heads: int | None = None

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """The numbers, in float32, a few rows at a time."""
        return self.source.chunks(None if self.heads is None else unpermuted_rows(self.shape[0], self.heads))


def unpermuted_rows(rows: int, heads: int) -> NDArray[np.intp]:
    """For each row of a Hugging Face q or k projection, the row of llama.cpp's that holds it.

    llama.cpp rotates neighbouring dimensions (0, 1), (2, 3), ...; Hugging Face rotates (0, D/2), (1, D/2 + 1), ...
    So the two halves of every head lie interleaved in llama.cpp's file.

    Args:
        rows: heads * head_dim.
        heads: query heads for q, key-value heads for k.

    Returns:
        [rows]
    """
    order: NDArray[np.intp] = np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).ravel()
    return order


def convert_tensors(file: GGUFFile, config: dict[str, Any]) -> list[ConvertedTensor]:
    """Match the tensors of a file with those that its config asks for, in the order of the file.

    Raises:
        CheckpointError: tensors are missing, left over or misshapen, or their storage type cannot be read.
    """
    expected = _expected(config)
    present = {name: tensor for name, tensor in file.tensors.items() if name != FACTORS_TENSOR}
    _refuse(file, "lacks tensors", (name for name in expected if name not in present))
    surplus = (name for name in present if name not in expected)
    _refuse(file, f"has tensors that {config['model_type']} models do not have", surplus)
    converted = []
    readable: set[str] = set()
    for name, tensor in present.items():
        target, shape, permuted_heads = expected[name]
        if tensor.shape != shape:
            raise CheckpointError(
                f"{file.path.name}: {name} is {list(tensor.shape)}, but the metadata asks for {list(shape)}"
            )
        if tensor.kind not in readable:
            tensor.check_readable()
            readable.add(tensor.kind)
        # Only llama.cpp's llama architecture rotates neighbouring dimensions; qwen2 and qwen3 are stored as they were.
        heads = permuted_heads if file.architecture == "llama" else None
        converted.append(ConvertedTensor(target, shape, tensor, heads))
    return converted


def _expected(config: dict[str, Any]) -> dict[str, Wanted]:
    """Every tensor by llama.cpp's name."""
    vocab, hidden = config["vocab_size"], config["hidden_size"]
    expected: dict[str, Wanted] = {"token_embd.weight": ("model.embed_tokens.weight", (vocab, hidden), None)}
    layer = list(_expected_layer(config))
    for index in range(config["num_hidden_layers"]):
        for name, (target, shape, heads) in layer:
            expected[f"blk.{index}.{name}"] = (f"model.layers.{index}.{target}", shape, heads)
    expected["output_norm.weight"] = ("model.norm.weight", (hidden,), None)
    if not config["tie_word_embeddings"]:
        expected["output.weight"] = ("lm_head.weight", (vocab, hidden), None)
    return expected


def _expected_layer(config: dict[str, Any]) -> Iterator[tuple[str, Wanted]]:
    hidden, inner, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    attention_bias = config.get("attention_bias", False)
    qkv_bias, mlp_bias = attention_bias or config["model_type"] == "qwen2", config.get("mlp_bias", False)
    linear = [
        ("attn_q", "self_attn.q_proj", heads * head_dim, hidden, heads, qkv_bias),
        ("attn_k", "self_attn.k_proj", kv_heads * head_dim, hidden, kv_heads, qkv_bias),
        ("attn_v", "self_attn.v_proj", kv_heads * head_dim, hidden, None, qkv_bias),
        ("attn_output", "self_attn.o_proj", hidden, heads * head_dim, None, attention_bias),
        ("ffn_gate", "mlp.gate_proj", inner, hidden, None, mlp_bias),
        ("ffn_up", "mlp.up_proj", inner, hidden, None, mlp_bias),
        ("ffn_down", "mlp.down_proj", hidden, inner, None, mlp_bias),
    ]
    for name, target, rows, columns, permuted_heads, bias in linear:
        yield f"{name}.weight", (f"{target}.weight", (rows, columns), permuted_heads)
        if bias:
            yield f"{name}.bias", (f"{target}.bias", (rows,), permuted_heads)
    yield "attn_norm.weight", ("input_layernorm.weight", (hidden,), None)
    yield "ffn_norm.weight", ("post_attention_layernorm.weight", (hidden,), None)
    if config["model_type"] == "qwen3":
        yield "attn_q_norm.weight", ("self_attn.q_norm.weight", (head_dim,), None)
        yield "attn_k_norm.weight", ("self_attn.k_norm.weight", (head_dim,), None)


def _refuse(file: GGUFFile, what: str, names: Iterable[str], shown: int = 6) -> None:
    listed = list(names)
    if listed:
        more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
        raise CheckpointError(f"{file.path.name} {what}: {', '.join(map(repr, listed[:shown]))}{more}")
