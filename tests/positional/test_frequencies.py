"""Frequencies and temperatures: check values, and transformers' own functions."""

from __future__ import annotations

import json
import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lampe.config import PositionalConfig, RopeConfig
from lampe.errors import ConfigError
from lampe.positional import (
    NTK,
    PI,
    DynamicNTK,
    DynamicYaRN,
    HoPE,
    Llama3,
    LongRoPE,
    NoPE,
    NTKByParts,
    PositionWarning,
    RemapEncoding,
    RoPE,
    SelfExtend,
    YaRN,
)
from lampe.testing import CASES


def rope(theta: float, dim: int, window: int, longest: int | None = None) -> RopeConfig:
    return RopeConfig(theta=theta, dim=dim, max_position=longest or window, original_window=window)


def base_of(inv_freq: torch.Tensor) -> float:
    """The base behind frequencies base^(-2k/D)."""
    dim = 2 * len(inv_freq)
    return float(inv_freq[-1].double()) ** (-dim / (dim - 2))


def test_check_values_of_ntk():
    assert base_of(NTK(factor=4).bind(rope(1e4, 128, 4096)).plan(64).inv_freq) == pytest.approx(40889.942, rel=1e-5)
    dynamic = DynamicNTK(factor=2).bind(rope(1e4, 128, 4096))
    assert base_of(dynamic.plan(8192).inv_freq) == pytest.approx(30527.737, rel=1e-5)
    assert torch.equal(dynamic.plan(100).inv_freq, RoPE().bind(rope(1e4, 128, 4096)).plan(100).inv_freq)


@pytest.mark.parametrize(
    ("theta", "factor", "window", "ends", "ratios", "temperature"),
    [
        (1e4, 8, 4096, (20, 46), [1, 0.8654, 0.5962, 0.3269, 0.125], 1.207944),
        (1e4, 16, 4096, (20, 46), None, 1.277259),
        (1e6, 4, 32768, (23, 40), [1, 0.9559, 0.6029, 0.25, 0.25], 1.138629),
        (5e5, 4, 8192, (18, 35), None, 1.138629),
    ],
)
def test_check_values_of_yarn(theta, factor, window, ends, ratios, temperature):
    method = YaRN(factor=factor).bind(rope(theta, 128, window))
    plan = method.plan(64)
    assert method.ramp_ends() == ends
    assert plan.temperature == pytest.approx(temperature, abs=1e-6)
    if ratios:
        trained = RoPE().bind(rope(theta, 128, window)).plan(64).inv_freq
        assert (plan.inv_freq / trained)[[16, 24, 32, 40, 48]].tolist() == pytest.approx(ratios, abs=1e-4)


def test_check_values_of_llama3():
    bound = rope(5e5, 128, 8192)
    ratio = Llama3(factor=8).bind(bound).plan(64).inv_freq / RoPE().bind(bound).plan(64).inv_freq
    assert (ratio[:29] == 1).all()
    assert ratio[29:35].tolist() == pytest.approx([0.8282, 0.6437, 0.4935, 0.3711, 0.2714, 0.1902], abs=1e-4)
    assert (ratio[35:] == 0.125).all()


def test_check_value_of_longrope():
    factors = (1.0,) * 48
    method = LongRoPE(short_factor=factors, long_factor=factors).bind(rope(1e4, 96, 4096, longest=131072))
    assert method.plan(64).temperature == pytest.approx(1.190238, abs=1e-6)


@pytest.mark.parametrize("method", [PI(), NTK(), YaRN()])
def test_without_a_factor_the_checkpoint_or_the_length_sets_it(method):
    assert method.bind(rope(1e4, 64, 2048, longest=8192)).factor(100) == 4
    assert method.bind(rope(1e4, 64, 2048)).factor(6144) == 3
    assert method.bind(rope(1e4, 64, 2048)).factor(100) == 1


SCALINGS = {
    "linear": (PI, {"factor": 4.0}),
    "dynamic": (DynamicNTK, {"factor": 2.0}),
    "yarn": (YaRN, {"factor": 4.0}),
    "llama3": (Llama3, {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}),
    "longrope": (LongRoPE, {"factor": 4.0}),
}


@pytest.mark.parametrize("kind", SCALINGS)
@given(
    theta=st.sampled_from([1e4, 5e5, 1e6]),
    dim=st.sampled_from([32, 64, 96, 128]),
    window=st.sampled_from([2048, 4096, 8192, 32768]),
    length=st.integers(1, 100000),
    data=st.data(),
)
def test_frequencies_equal_those_of_transformers(kind, theta, dim, window, length, data):
    cls, fields = SCALINGS[kind]
    fields = dict(fields)
    if kind == "longrope":
        fields |= {
            name: tuple(1 + k * step for k in range(dim // 2))
            for name, step in (("short_factor", 0.01), ("long_factor", 0.5))
        }
    if kind == "yarn":
        fields |= data.draw(
            st.sampled_from(
                [
                    {},
                    {"attention_factor": 1.5},
                    {"mscale": 0.7, "mscale_all_dim": 1.0},
                    {"beta_fast": 16.0, "beta_slow": 2.0},
                    {"truncate": False},
                ]
            )
        )
    parameters = {
        "rope_type": kind,
        "rope_theta": theta,
        **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
    }
    if kind in ("yarn", "llama3", "longrope"):
        parameters["original_max_position_embeddings"] = window
    config = LlamaConfig(
        hidden_size=4 * dim,
        num_attention_heads=4,
        head_dim=dim,
        max_position_embeddings=window,
        rope_parameters=parameters,
    )
    expected, temperature = ROPE_INIT_FUNCTIONS[kind](config, seq_len=length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PositionWarning)
        plan = cls(**fields).bind(rope(theta, dim, window)).plan(length)
    torch.testing.assert_close(plan.inv_freq, expected, rtol=3e-7, atol=0)
    assert plan.temperature == pytest.approx(temperature, rel=1e-12)


@given(
    theta=st.sampled_from([1e4, 1e5, 1e6]),
    window=st.sampled_from([2048, 4096, 8192]),
    length=st.integers(1, 100000),
    least=st.sampled_from([1.0, 4.0]),
)
def test_dynamic_yarn_is_yarn_for_the_length(theta, window, length, least):
    factor = max(least, length / window)
    parameters = {
        "rope_type": "yarn",
        "rope_theta": theta,
        "factor": factor,
        "original_max_position_embeddings": window,
    }
    config = LlamaConfig(
        hidden_size=256, num_attention_heads=4, max_position_embeddings=window, rope_parameters=parameters
    )
    expected, temperature = ROPE_INIT_FUNCTIONS["yarn"](config)
    plan = DynamicYaRN(factor=least).bind(rope(theta, 64, window)).plan(length)
    torch.testing.assert_close(plan.inv_freq, expected, rtol=3e-7, atol=0)
    assert plan.temperature == pytest.approx(temperature, rel=1e-12)


@given(
    theta=st.sampled_from([1e4, 1e5, 1e6]),
    dim=st.sampled_from([32, 64, 128]),
    window=st.sampled_from([2048, 8192]),
    factor=st.floats(1, 32),
)
def test_ntk_by_parts_frequency_by_frequency(theta, dim, window, factor):
    """Its author's recipe for one frequency at a time, in Python floats."""

    def mix(k: int, fast: float, slow: float, below: float, above: float) -> float:
        low, high = (dim * math.log(window / (turns * 2 * math.pi)) / (2 * math.log(theta)) for turns in (fast, slow))
        low, high = max(math.floor(low), 0), min(math.ceil(high), dim - 1)
        ramp = min(max((k - low) / (high - low), 0), 1)
        return below * (1 - ramp) + above * ramp

    expected = []
    for k in range(dim // 2):
        trained, ntk = theta ** (-2 * k / dim), (theta * factor ** (dim / (dim - 2))) ** (-2 * k / dim)
        expected.append(mix(k, 16, 2, trained, mix(k, 1.25, 0.75, ntk, trained / factor)))
    plan = NTKByParts(factor=factor).bind(rope(theta, dim, window)).plan(1)
    torch.testing.assert_close(plan.inv_freq, torch.tensor(expected), rtol=1e-5, atol=0)
    assert plan.temperature == 1


def test_hope_keeps_what_turns_in_the_window_and_nope_nothing():
    bound = rope(1e4, 128, 4096)
    trained, hope = RoPE().bind(bound).plan(64).inv_freq, HoPE().bind(bound).plan(64).inv_freq
    # 10000^(k/64) < 4096 / (2 pi) up to k = 45.
    assert torch.equal(hope[:46], trained[:46])
    assert not hope[46:].any()
    assert not NoPE().bind(bound).plan(64).inv_freq.any()


def test_angles_are_exact_where_bf16_would_not_be():
    plan = RoPE(original_window=200000).bind(rope(1e4, 64, 4096)).plan(131072)
    angles = plan.angles(torch.tensor([257, 131071]))
    assert angles.dtype == torch.float32
    assert angles[:, 0].tolist() == [257.0, 131071.0]
    # fp32 holds the product to half a unit in the last place.
    assert float(angles[1, 3]) == pytest.approx(131071 * 1e4 ** (-6 / 64), rel=2**-22)
    assert math.isclose(float(angles[0, 31]), 257 * 1e4 ** (-62 / 64), rel_tol=2**-22)


def test_longrope_names_a_wrong_number_of_factors():
    method = LongRoPE(short_factor=(1.0,) * 31, long_factor=(1.0,) * 32).bind(rope(1e4, 64, 4096))
    with pytest.raises(ConfigError, match="short_factor holds 31 factors, the rotary dimension 64 needs 32"):
        method.plan(10)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama3_reaches_as_far_as_its_checkpoint_says(factor):
    own = Llama3.Config(factor=factor)
    bound = rope(500000.0, 128, 8192, 131072).model_copy(update={"scaling": own})
    assert Llama3(own).bind(bound).reach() == 131072
    assert Llama3(factor=4).bind(bound).reach() == 4 * 8192


@pytest.mark.parametrize("fields", [{"short_factor": [1.0, 0.0]}, {"long_factor": [1.0, math.inf]}])
def test_factors_of_longrope_are_positive_and_finite(fields):
    with pytest.raises(ConfigError, match=r"(short|long)_factor\.1 = (0.0|inf): input should be"):
        LongRoPE(**fields)


def test_ntk_needs_two_frequencies():
    with pytest.raises(ConfigError, match="rotary dimension of at least 4, not 2"):
        NTK(factor=2).bind(rope(10000.0, 2, 64)).plan(64)


def test_infinite_numbers_are_refused():
    with pytest.raises(ConfigError, match="factor = inf: input should be a finite number"):
        YaRN(factor=math.inf)
    with pytest.raises(ConfigError, match="temperature = inf: input should be a finite number"):
        RoPE(temperature=math.inf)


def test_llama3_needs_ordered_factors():
    with pytest.raises(ConfigError, match=r"high_freq_factor = 1.0 must exceed 4.0"):
        Llama3(low_freq_factor=4, high_freq_factor=1)


@pytest.mark.parametrize("name", CASES)
def test_plans_are_in_single_precision_whatever_the_default_is(name):
    method = CASES[name].example.bind(rope(1e4, 16, 64))
    expected = method.plan(40)
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = method.plan(40)
        scale = found.query_scale(torch.arange(40))
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found.inv_freq, expected.inv_freq)
    assert found.inv_freq.dtype == torch.float32
    assert torch.equal(scale, expected.query_scale(torch.arange(40)))


@pytest.mark.parametrize("name", [name for name in CASES if not isinstance(CASES[name].example, RemapEncoding)])
def test_a_checkpoints_scaling_survives_its_own_dump(name):
    stated = RopeConfig(dim=16, max_position=128, original_window=64, scaling=CASES[name].example.config)
    for again in (stated.model_dump_json(), json.dumps(stated.model_dump(mode="json"))):
        assert RopeConfig.model_validate_json(again) == stated
    assert type(RopeConfig.model_validate(stated.model_dump()).scaling) is type(stated.scaling)


@pytest.mark.parametrize("scaling", [{"kind": "yam"}, {}, PositionalConfig(kind="yarn"), {"kind": "yarn", "factr": 2}])
def test_a_scaling_that_is_no_method_is_refused(scaling):
    with pytest.raises(ValidationError, match=r"expected the (name|config) of|factr"):
        RopeConfig(dim=16, max_position=128, original_window=64, scaling=scaling)


@pytest.mark.parametrize("scaling", [SelfExtend.Config(), {"kind": "self-extend"}])
def test_a_scaling_that_moves_positions_is_refused(scaling):
    with pytest.raises(ValidationError, match="kind = 'self-extend' moves positions; expected a method that scales"):
        RopeConfig(dim=16, max_position=128, original_window=64, scaling=scaling)


@pytest.mark.parametrize("kind", [YaRN, DynamicYaRN])
def test_the_ramp_of_yarn_is_not_turned_round(kind):
    with pytest.raises(ConfigError, match=r"beta_fast = 1\.0 must not be below beta_slow = 32\.0"):
        kind(beta_fast=1, beta_slow=32)
    with pytest.raises(ConfigError, match=r"mscale = -10: input should be greater than or equal to 0"):
        kind(mscale=-10, mscale_all_dim=1)


def test_only_the_frequencies_make_llama3_that_of_the_checkpoint():
    stated = RopeConfig(dim=16, max_position=1024, original_window=64, scaling=Llama3.Config(factor=8))
    for options in ({}, {"temperature": 1.0}, {"log_n": True}, {"length": "total"}, {"original_window": 64}):
        assert Llama3(**options).bind(stated).reach() == 1024
    for options in ({"factor": 4}, {"low_freq_factor": 2}, {"high_freq_factor": 8}, {"original_window": 32}):
        method = Llama3(**options).bind(stated)
        assert method.reach() == method.config.factor * method.window
