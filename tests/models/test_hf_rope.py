"""Every way in which transformers 4 and 5 write RoPE reads into the same method."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampe import positional
from lampe.config import RopeConfig
from lampe.errors import ConfigError
from lampe.models.hf_rope import SCALINGS, read_rope, write_rope

SHORT, LONG = [1.0] * 4, [1.0, 2.0, 3.0, 4.0]


def read(raw: dict[str, Any], max_position: int = 4096) -> RopeConfig:
    return read_rope(raw, head_dim=8, max_position=max_position, subject="config.json")


def scaled(kind: str, original: int, max_position: int = 4096, theta: float = 10000.0, **fields: Any) -> RopeConfig:
    scaling = positional.registry.config({"kind": kind, **fields})
    return RopeConfig(theta=theta, dim=8, max_position=max_position, original_window=original, scaling=scaling)  # type: ignore[arg-type]


PLAIN = RopeConfig(theta=500000.0, dim=8, max_position=4096, original_window=4096)
YARN = {"factor": 4.0, "original_max_position_embeddings": 1024}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 512}
LONGROPE = {"short_factor": SHORT, "long_factor": LONG}

FORMS: list[tuple[dict[str, Any], RopeConfig]] = [
    ({}, RopeConfig(theta=10000.0, dim=8, max_position=4096, original_window=4096)),
    ({"rope_theta": 500000}, PLAIN),
    ({"rope_theta": 500000.0, "rope_scaling": None, "rope_parameters": None}, PLAIN),
    ({"rope_theta": 5e5, "rope_scaling": {"type": "default"}}, PLAIN),
    ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, PLAIN),
    ({"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 1.0}, "partial_rotary_factor": None}, PLAIN),
    ({"rope_theta": 5e5, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default", "factor": None}}, PLAIN),
    (
        {"rope_parameters": {kind: {"rope_theta": 5e5} for kind in ("full_attention", "sliding_attention")}},
        PLAIN,
    ),
    ({"rope_scaling": {"type": "linear", "factor": 2}}, scaled("pi", 4096, factor=2.0)),
    ({"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 2.0}}, scaled("pi", 4096, factor=2.0)),
    (
        {"rope_scaling": {"type": "linear", "factor": 2.0, "original_max_position_embeddings": 2048}},
        scaled("pi", 2048, factor=2.0),
    ),
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, scaled("dynamic-ntk", 4096, factor=2.0)),
    (
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}, **YARN | {"factor": None}},
        scaled("dynamic-ntk", 4096, factor=2.0),
    ),
    ({"rope_scaling": {"type": "yarn", "finetuned": True, **YARN}}, scaled("yarn", 1024, factor=4.0)),
    ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, scaled("yarn", 4096, factor=4.0)),
    ({"rope_scaling": {"type": "yarn", **YARN, "factor": None}}, scaled("yarn", 1024, factor=4.0)),
    (
        {"rope_parameters": {"rope_type": "yarn", **YARN, "attention_factor": 1.2, "beta_fast": 16, "mscale": None}},
        scaled("yarn", 1024, factor=4.0, attention_factor=1.2, beta_fast=16.0),
    ),
    (
        {"rope_scaling": {"type": "yarn", **YARN, "mscale": 1.0, "mscale_all_dim": 0.7, "truncate": False}},
        scaled("yarn", 1024, factor=4.0, mscale=1.0, mscale_all_dim=0.7, truncate=False),
    ),
    (
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
        scaled("llama3", 512, theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0),
    ),
    (
        {"rope_scaling": {"type": "su", **LONGROPE}, "original_max_position_embeddings": 1024},
        scaled("longrope", 1024, short_factor=SHORT, long_factor=LONG),
    ),
    (
        {"rope_parameters": {"rope_type": "longrope", **LONGROPE, **YARN}, "original_max_position_embeddings": 1024},
        scaled("longrope", 1024, short_factor=SHORT, long_factor=LONG, factor=4.0),
    ),
]


@pytest.mark.parametrize(("raw", "expected"), FORMS, ids=[json.dumps(raw)[:60] for raw, _ in FORMS])
def test_reads_and_writes_back(raw: dict[str, Any], expected: RopeConfig) -> None:
    assert read(raw) == expected
    assert read(json.loads(json.dumps(write_rope(expected)))) == expected


def test_the_window_of_longrope_stands_where_transformers_4_looks_for_it() -> None:
    written = write_rope(scaled("longrope", 1024, short_factor=SHORT, long_factor=LONG))
    assert written["original_max_position_embeddings"] == 1024
    inside = {"rope_type": "longrope", "original_max_position_embeddings": 1024, **LONGROPE}
    assert written["rope_scaling"] == inside


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"rope_scaling": {"type": "yarm", "factor": 4.0}}, r"unknown rope_type 'yarm' \(did you mean 'yarn'"),
    ({"rope_scaling": {"rope_type": "mrope", "mrope_section": [1]}}, "unknown rope_type 'mrope'.*llama3, longrope"),
    ({"rope_scaling": {"type": 3}}, "unknown rope_type '3'"),
    (
        {"rope_scaling": {"rope_type": "yarn", "type": "linear", "factor": 4.0}},
        "rope_type = 'yarn' but type = 'linear'",
    ),
    ({"rope_scaling": {"factor": 4.0}}, "rope_type 'default' knows no 'factor'"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0, "alpha": 3}}, "'linear' knows no 'alpha'; fields: factor"),
    ({"rope_scaling": {"type": "linear"}}, "rope_type 'linear' lacks 'factor'"),
    ({"rope_scaling": {"type": "yarn"}}, "rope_type 'yarn' lacks 'factor'"),
    ({"rope_scaling": {"type": "llama3", "factor": 8.0}}, "lacks 'low_freq_factor', 'high_freq_factor'"),
    ({"rope_scaling": {"type": "longrope", "long_factor": LONG}}, "lacks 'short_factor'"),
    ({"rope_scaling": {"type": "longrope", **LONGROPE, "long_factor": [1.0]}}, "long_factor holds 1 factors.*needs 4"),
    ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "factor = 0.5: input should be greater than or equal to 1"),
    ({"rope_scaling": {"type": "linear", "factor": "x"}}, "factor = 'x': input should be a valid number"),
    (
        {"rope_scaling": {"type": "yarn", **YARN, "beta_slow": 33}},
        "beta_fast = 32.0 must not be below beta_slow = 33.0",
    ),
    ({"rope_scaling": "linear"}, "rope_scaling = 'linear': an object or null would be accepted"),
    ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6}}, "rope_parameters says rope_theta = 1000000.0"),
    ({"rope_theta": "1e4"}, "rope_theta = '1e4': input should be a valid number"),
    ({"rope_theta": 0}, "rope_theta = 0: input should be greater than 1"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5.*1.0 or null"),
    ({"rope_parameters": {"partial_rotary_factor": 0.25}}, "partial_rotary_factor = 0.25"),
    ({"original_max_position_embeddings": 1024.5}, "original_max_position_embeddings = 1024.5"),
    (
        {"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}},
        "rope_parameters differs between full_attention, sliding_attention: all layers must share one RoPE",
    ),
    ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": None}}, "must share one RoPE"),
]


@pytest.mark.parametrize(("raw", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_what_would_change_the_maths_unseen_is_refused(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read(raw)
    assert str(refused.value).startswith("config.json: ")


def test_a_method_that_no_file_can_state_is_not_written() -> None:
    with pytest.raises(ConfigError, match="cannot state the scaling 'ntk'; it can state: pi, dynamic-ntk, yarn"):
        write_rope(scaled("ntk", 4096, factor=2.0))


NUMBER = st.floats(1.0, 64.0)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("factor", "attention_factor", "mscale", "mscale_all_dim"), NUMBER),
    "beta_fast": st.floats(32.0, 64.0),
    "beta_slow": st.floats(1.0, 32.0),
    "truncate": st.booleans(),
    "low_freq_factor": st.floats(1.0, 3.0),
    "high_freq_factor": st.floats(4.0, 8.0),
    **dict.fromkeys(("short_factor", "long_factor"), st.lists(NUMBER, min_size=4, max_size=4)),
}


@st.composite
def ropes(draw: st.DrawFn) -> RopeConfig:
    reading = SCALINGS[draw(st.sampled_from(sorted(SCALINGS)))]
    optional = [name for name in reading.optional if draw(st.booleans())]
    fields = {name: draw(FIELDS[name]) for name in (*reading.required, *optional)}
    max_position = draw(st.integers(2, 2**20))
    original = max_position if reading.kind == "dynamic-ntk" else draw(st.integers(2, max_position))
    return scaled(reading.kind, original, max_position, draw(st.floats(2.0, 1e7)), **fields)


@given(ropes())
def test_every_rope_survives_a_file(rope: RopeConfig) -> None:
    assert read(json.loads(json.dumps(write_rope(rope))), rope.max_position) == rope
