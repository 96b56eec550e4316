"""Weights arrive as they lie in the file, and whatever does not fit is named before the model changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lampe.checkpoint import checkpoint_dtype, load_weights, read_config
from lampe.errors import CheckpointError
from tests.checkpoint.loading import CPU, EMBEDDING, HEAD, K, Q, empty, load
from tests.checkpoints import VARIANTS, make


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("in_shards", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_is_that_of_transformers(name: str, in_shards: bool, tmp_path: Path) -> None:
    theirs = make(name, tmp_path, sharded=in_shards).state_dict()
    ours = load(tmp_path)
    assert ours.keys() == theirs.keys() - ({HEAD} if read_config(tmp_path).tie_embeddings else set())
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16])
def test_dtypes(stored: torch.dtype, wanted: torch.dtype, tmp_path: Path) -> None:
    theirs = make("qwen3", tmp_path, dtype=stored).state_dict()
    assert checkpoint_dtype(tmp_path) == stored
    for key, tensor in load(tmp_path, wanted).items():
        assert tensor.dtype == wanted
        assert torch.equal(tensor, theirs[key].to(wanted)), key


def test_the_dtype_of_a_checkpoint_is_that_of_most_weights(single: Path) -> None:
    def norms_alone_stay_wide(tensors: dict[str, Tensor]) -> None:
        tensors.update({key: value.bfloat16() for key, value in tensors.items() if "norm" not in key})

    rewrite(single, norms_alone_stay_wide)
    assert checkpoint_dtype(single) == torch.bfloat16


def test_weights_take_no_gradient_and_writing_to_one_leaves_the_file_alone(single: Path) -> None:
    model = empty(single)
    load_weights(model, single, dtype=torch.float32, device=CPU)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    before = (single / "model.safetensors").read_bytes()
    model.model.norm.weight.zero_()
    assert (single / "model.safetensors").read_bytes() == before


def test_frequencies_of_old_checkpoints_are_passed_over(single: Path) -> None:
    rewrite(single, lambda tensors: tensors.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}))
    assert len(load(single)) == len(empty(single).state_dict())


def test_a_tied_head_may_be_stored_if_it_equals_the_embeddings(tmp_path: Path) -> None:
    make("llama-tied", tmp_path)
    rewrite(tmp_path, lambda tensors: tensors.update({HEAD: tensors[EMBEDDING].clone()}))
    expected = load(tmp_path)[EMBEDDING].clone()
    rewrite(tmp_path, lambda tensors: tensors.pop(EMBEDDING))
    assert torch.equal(load(tmp_path)[EMBEDDING], expected)
    rewrite(tmp_path, lambda tensors: tensors.update({EMBEDDING: tensors[HEAD] + 1}))
    with pytest.raises(CheckpointError, match=r"lm_head.weight differs from .* tie_word_embeddings = false"):
        load(tmp_path)


WRONG_TENSORS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (lambda t: t.pop(Q), rf"do not fit config.json: 1 missing tensor \({Q}\)$"),
    "many missing": (
        lambda t: [t.pop(key) for key in list(t) if "layers.1" in key],
        r"9 missing tensors \(model.layers.1.input_layernorm.weight, .* and 6 more\)$",
    ),
    "surplus": (lambda t: t.update(extra=torch.ones(1)), r"1 surplus tensor \(extra\)$"),
    "renamed": (lambda t: t.update(q=t.pop(Q)), rf"1 missing tensor \({Q}\), 1 surplus tensor \(q\)$"),
    "untied head": (lambda t: t.pop(HEAD), r"1 missing tensor \(lm_head.weight\)$"),
    "misshapen": (lambda t: t.update({Q: t[K].clone()}), rf"{Q} is \[32, 64\], config.json makes it \[64, 64\]"),
    "transposed": (lambda t: t.update({K: t[K].T.contiguous()}), r"is \[64, 32\], config.json makes it \[32, 64\]"),
    "integers": (lambda t: t.update({Q: t[Q].to(torch.int8)}), f"{Q} holds I8 numbers.*must be dequantised first"),
    "gptq": (lambda t: t.update(qweight=torch.ones(1, dtype=torch.int32)), "qweight holds I32 numbers"),
    "fp8": (lambda t: t.update({Q: t[Q].to(torch.float8_e4m3fn)}), "holds F8_E4M3 numbers"),
    "empty": (lambda t: t.clear(), "the weight files hold no tensors"),
}


@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_tensors_that_do_not_fit_are_named(case: str, single: Path) -> None:
    change, message = WRONG_TENSORS[case]
    rewrite(single, change)
    model = empty(single)
    with pytest.raises(CheckpointError, match=message):
        load_weights(model, single, dtype=torch.float32, device=CPU)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_file(keep: int, single: Path) -> None:
    weights = single / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model.safetensors is truncated or no safetensors file: .*header"):
        load(single)


def test_a_pointer_in_place_of_the_weights(single: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 123\n"
    (single / "model.safetensors").write_bytes(pointer)
    with pytest.raises(CheckpointError, match=r"model.safetensors is a Git LFS pointer, .*; run `git lfs pull`"):
        load(single)


def test_bytes_that_are_no_safetensors(single: Path) -> None:
    (single / "model.safetensors").write_bytes(b"\x80\x04" + bytes(range(256)) * 4)
    with pytest.raises(CheckpointError, match="is truncated or no safetensors file"):
        load(single)
