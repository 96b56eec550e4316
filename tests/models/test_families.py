"""config.json of every family reads into the model that transformers builds from it, or is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig

from lampe import positional
from lampe.config import ModelConfig, RopeConfig
from lampe.errors import ConfigError
from lampe.models import Llama, Mistral, ModelFamily, Qwen2, family_of, registry
from tests.checkpoints import VARIANTS
from tests.models.hf_samples import (
    LLAMA2_7B,
    LLAMA31_8B,
    MISTRAL_7B_V01,
    MISTRAL_7B_V03,
    MISTRAL_NEMO,
    QWEN3_06B,
    QWEN25_7B,
    SMOLLM2_135M,
)


def read(raw: dict[str, Any]) -> ModelConfig:
    return family_of(raw).from_hf(raw)


PUBLIC: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Llama 2 7B": (LLAMA2_7B, {"kind": "llama", "n_kv_heads": 32, "head_dim": 128, "dtype": "float16"}),
    "Llama 3.1 8B": (
        LLAMA31_8B,
        {"n_kv_heads": 8, "bos_token_id": 128000, "eos_token_ids": (128001, 128008, 128009), "dtype": "bfloat16"},
    ),
    "SmolLM2 135M": (SMOLLM2_135M, {"n_heads": 9, "head_dim": 64, "tie_embeddings": True, "pad_token_id": 2}),
    "Mistral 7B v0.1": (MISTRAL_7B_V01, {"kind": "mistral", "sliding_windows": (4096,) * 32, "attention_bias": False}),
    "Mistral 7B v0.3": (MISTRAL_7B_V03, {"sliding_windows": (), "vocab_size": 32768}),
    "Mistral Nemo": (MISTRAL_NEMO, {"head_dim": 128, "n_heads": 32, "hidden_size": 5120}),
    "Qwen2.5 7B": (
        QWEN25_7B,
        {"kind": "qwen2", "attention_bias": True, "output_bias": False, "qk_norm": False, "sliding_windows": ()},
    ),
    "Qwen3 0.6B": (
        QWEN3_06B,
        {"kind": "qwen3", "attention_bias": False, "qk_norm": True, "head_dim": 128, "eos_token_ids": (151645,)},
    ),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_checkpoints(name: str) -> None:
    raw, expected = PUBLIC[name]
    config = read(raw)
    assert {field: getattr(config, field) for field in expected} == expected
    assert config.rope.dim == config.head_dim
    assert config.rope.max_position == raw["max_position_embeddings"]


@pytest.mark.parametrize("name", VARIANTS)
def test_what_transformers_5_writes_and_what_we_write_read_the_same(name: str, tmp_path: Path) -> None:
    theirs = VARIANTS[name]()
    theirs.architectures = [f"{type(theirs).__name__.removesuffix('Config')}ForCausalLM"]
    theirs.save_pretrained(tmp_path)
    config = read(json.loads((tmp_path / "config.json").read_text()))
    ours = registry.create(config).to_hf()
    assert read(ours) == config
    (tmp_path / "config.json").write_text(json.dumps(ours))
    reread = AutoConfig.from_pretrained(tmp_path)
    for field in (set(theirs.to_dict()) & set(ours)) - {"torch_dtype", "rope_theta", "rope_scaling"}:
        # We leave max_window_layers at the number of layers where nothing slides.
        if field != "max_window_layers" or config.sliding_windows:
            assert getattr(reread, field) == getattr(theirs, field), field
    for field, value in theirs.rope_parameters.items():
        assert reread.rope_parameters[field] == value, field


def test_windows_of_qwen_start_at_max_window_layers_unless_layer_types_say_otherwise() -> None:
    slides = QWEN25_7B | {"use_sliding_window": True, "sliding_window": 512, "num_hidden_layers": 4}
    assert read(slides | {"max_window_layers": 3}).sliding_windows == (None, None, None, 512)
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
    mixed = read(slides | {"max_window_layers": 3, "layer_types": kinds})
    assert mixed.sliding_windows == (512, None, 512, None)
    assert read(Qwen2(mixed).to_hf()) == mixed
    assert read(slides | {"max_window_layers": 4}).sliding_windows == ()


def test_where_a_file_is_silent_the_defaults_of_transformers_hold() -> None:
    without = {key: value for key, value in MISTRAL_7B_V01.items() if key not in ("sliding_window", "rope_theta")}
    assert read(without).sliding_windows == (4096,) * 32
    assert read(without).rope.theta == 10000.0
    silent = ("num_key_value_heads", "head_dim", "tie_word_embeddings", "hidden_act", "eos_token_id", "torch_dtype")
    llama = read({key: value for key, value in LLAMA31_8B.items() if key not in silent})
    assert (llama.n_kv_heads, llama.head_dim, llama.tie_embeddings, llama.activation) == (32, 128, False, "silu")
    assert (llama.eos_token_ids, llama.dtype) == ((), None)
    assert read(LLAMA2_7B | {"num_key_value_heads": None, "head_dim": None, "pad_token_id": -1}).n_kv_heads == 32
    qwen3 = read({key: value for key, value in QWEN3_06B.items() if key != "head_dim"})
    assert qwen3.head_dim == 128


def test_biases_go_where_the_family_puts_them() -> None:
    llama = read(LLAMA2_7B | {"attention_bias": True, "mlp_bias": True})
    assert (llama.attention_bias, llama.output_bias, llama.mlp_bias) == (True, True, True)
    qwen3 = read(QWEN3_06B | {"attention_bias": True})
    assert (qwen3.attention_bias, qwen3.output_bias, qwen3.mlp_bias) == (True, True, False)
    assert read(LLAMA2_7B | {"dtype": "torch.bfloat16"}).dtype == "bfloat16"


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        LLAMA2_7B,
        {"architectures": ["FalconForCausalLM"]},
        r"unknown architecture 'FalconForCausalLM'.*LlamaForCausalLM",
    ),
    (LLAMA2_7B, {"architectures": ["LlamaForCausalLN"]}, "did you mean 'LlamaForCausalLM'"),
    (LLAMA2_7B, {"architectures": None, "model_type": "gpt2"}, r"unknown model_type 'gpt2'.*qwen3"),
    (LLAMA2_7B, {"architectures": [], "model_type": None}, "unknown model_type None"),
    (LLAMA2_7B, {"architectures": "LlamaForCausalLM"}, "a list of one name would be accepted"),
    (LLAMA2_7B, {"model_type": "mistral"}, "model_type = 'mistral' is not that of LlamaForCausalLM"),
    (LLAMA2_7B, {"hidden_act": "swiglu"}, r"hidden_act = 'swiglu': input should be 'silu', 'gelu'"),
    (LLAMA2_7B, {"num_hidden_layers": "32"}, r"num_hidden_layers = '32': input should be a valid integer"),
    (LLAMA2_7B, {"hidden_size": -1}, r"hidden_size = -1: input should be greater than 0"),
    (LLAMA2_7B, {"head_dim": 127}, r"head_dim = 127: input should be a multiple of 2"),
    (LLAMA2_7B, {"num_attention_heads": 30}, r"hidden_size = 4096 does not split into 30 heads"),
    (LLAMA2_7B, {"num_key_value_heads": 5}, r"num_attention_heads = 32 is no multiple of num_key_value_heads = 5"),
    (LLAMA2_7B, {"eos_token_id": "</s>"}, r"eos_token_id = '</s>': input should be a token id, a list of them or null"),
    (LLAMA2_7B, {"layer_types": ["full_attention"]}, "layer_types names 1 layers of 32"),
    (LLAMA2_7B, {"layer_types": ["chunked_attention"] * 32}, "layer_types.0 = 'chunked_attention'"),
    (LLAMA2_7B, {"layer_types": ["sliding_attention"] * 32}, r"layer_types\[0\] = 'sliding_attention'"),
    (MISTRAL_7B_V01, {"layer_types": ["full_attention"] * 32}, r"but the window of that layer is 4096"),
    (MISTRAL_7B_V01, {"sliding_window": 0}, r"sliding_window = 0: input should be greater than 0"),
    (QWEN25_7B, {"layer_types": ["sliding_attention"] * 28}, "use_sliding_window = False"),
    (QWEN3_06B, {"torch_dtype": 16}, "torch_dtype = 16"),
]


@pytest.mark.parametrize(("base", "change", "message"), REFUSED, ids=[message[:40] for *_, message in REFUSED])
def test_what_cannot_be_understood_is_named(base: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read(base | change)
    assert str(refused.value).startswith("config.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "field",
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "rms_norm_eps",
    ],
)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"config.json \(llama\): '{field}' is missing"):
        read({key: value for key, value in LLAMA2_7B.items() if key != field})


DYNAMIC = RopeConfig(
    dim=128, max_position=4096, original_window=1024, scaling=positional.registry.config("dynamic-ntk")
)
"""A file measures dynamic scaling against max_position_embeddings only."""


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        (Llama, {"qk_norm": True}, "a llama config.json cannot state qk_norm = True, only False"),
        (Llama, {"sliding_windows": (8, 8)}, r"cannot state sliding_windows = \(8, 8\)"),
        (Llama, {"attention_bias": True}, "cannot state output_bias = False, only True"),
        (Mistral, {"sliding_windows": (None, 8)}, "cannot state sliding_windows"),
        (Qwen2, {"attention_bias": True, "sliding_windows": (4, 8)}, "cannot state sliding_windows"),
        (Qwen2, {"attention_bias": False}, "cannot state attention_bias = False"),
        (Mistral, {"rope": DYNAMIC}, "cannot state rope"),
    ],
)
def test_a_config_that_its_file_cannot_state_is_not_saved(
    family: type[ModelFamily], change: dict[str, Any], message: str
) -> None:
    config = read(LLAMA2_7B | {"num_hidden_layers": 2}).model_dump(exclude={"kind", "rope"})
    rope = RopeConfig(dim=128, max_position=4096, original_window=4096)
    with pytest.raises(ConfigError, match=message):
        family(family.Config(**({"rope": rope} | config | change))).to_hf()


def test_layers_without_windows_may_be_spelled_out() -> None:
    config = read(LLAMA2_7B | {"num_hidden_layers": 2}).model_copy(update={"sliding_windows": (None, None)})
    assert read(Llama(config).to_hf()).sliding_windows == ()


def test_a_package_can_add_a_family() -> None:
    class Parrot(Llama):
        class Config(ModelConfig):
            kind: Literal["parrot"] = "parrot"

        architectures = ("ParrotForCausalLM",)
        model_type = "parrot"

    assert registry.names() == ["llama", "mistral", "qwen2", "qwen3"]
    raw = LLAMA2_7B | {"architectures": ["ParrotForCausalLM"], "model_type": "parrot"}
    with registry.temporarily("parrot", Parrot):
        assert read(raw).kind == "parrot"
    with pytest.raises(ConfigError, match="ParrotForCausalLM"):
        read(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(LLAMA31_8B | QWEN25_7B)), JSON, max_size=3), st.booleans())
def test_whatever_a_file_holds_it_reads_or_is_refused_in_one_sentence(change: dict[str, Any], qwen: bool) -> None:
    raw = (QWEN25_7B if qwen else LLAMA31_8B) | change
    try:
        config = read(raw)
    except ConfigError as error:
        assert str(error).startswith("config.json")  # noqa: PT017
        return
    assert read(registry.create(config).to_hf()) == config
