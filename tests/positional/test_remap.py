"""Remap and window methods: check values, what they choose for a length, what they warn of and refuse."""

from __future__ import annotations

import math
import warnings
from itertools import product

import pytest
import torch

from lampe.config import RopeConfig
from lampe.errors import ConfigError
from lampe.inspection import relative_positions
from lampe.positional import (
    DCA,
    DPE,
    PI,
    STRING,
    DynamicNTK,
    DynamicYaRN,
    LaMPE,
    LeakyReRoPE,
    LMInfinite,
    LongRoPE,
    PositionalEncoding,
    PositionWarning,
    ReRoPE,
    SelfExtend,
    StreamingLLM,
    YaRN,
)
from lampe.positional.base import GENTLE_TEMPERATURE, inverse_frequencies
from lampe.positional.grouping import floored_group, floored_reach
from lampe.testing import ROPE


def rope(window: int) -> RopeConfig:
    return RopeConfig(theta=10000.0, dim=128, max_position=window, original_window=window)


def last_row(method: PositionalEncoding, keys: list[int], length: int = 8192) -> list[float]:
    """Relative positions of the last of `length` queries to some keys; -1 where one is not attended."""
    positions, _ = relative_positions(method.plan(length), torch.tensor([length - 1]), torch.tensor(keys))
    return positions[0].tolist()


def test_check_values_of_self_extend():
    method = SelfExtend(group=8, window=1024).bind(rope(4096))
    assert last_row(method, [8191 - d for d in (1023, 1024, 4095, 8191)]) == [1023, 1024, 1407, 1919]
    assert method.reach() == (4096 - 1024) * 8 + 1024


def test_check_values_of_leaky_rerope():
    method = LeakyReRoPE(window=512, factor=16).bind(rope(4096))
    assert last_row(method, [8191 - 513, 8191 - 8000]) == [512.0625, 980]


def test_check_values_of_dca():
    method = DCA().bind(rope(4096))
    assert (method.longest, method.chunk) == (3072, 2560)
    keys = [8190, 7680, 7679, 5120, 5119, 2560, 2559, 0]
    assert last_row(method, keys) == [1, 511, 512, 3071, 513, 3072, 513, 3072]


@pytest.mark.parametrize(
    ("fields", "chunk"), [({"chunk": 3072}, 2560), ({"chunk": 600}, 500), ({"chunk": 2}, 1), ({"local": 3071}, 1)]
)
def test_what_dca_leaves_open_leaves_a_chunk(fields, chunk):
    assert DCA(**fields).bind(rope(4096)).chunk == chunk


def test_a_local_window_of_dca_that_leaves_no_chunk_of_this_model():
    with pytest.raises(ConfigError, match="'dca': local = 3072 must be below chunk = 3072"):
        DCA(local=3072).bind(rope(4096))


def test_the_window_is_what_the_checkpoints_own_scaling_was_made_for():
    yarn = YaRN.Config(factor=4)
    # As Qwen's model cards have it: a factor is added, and the longest input that config.json states left alone.
    stated = RopeConfig(dim=16, max_position=32768, original_window=32768, scaling=yarn)
    assert ReRoPE().bind(stated).window == 131072
    assert ReRoPE().bind(stated.model_copy(update={"max_position": 163840})).window == 163840
    assert ReRoPE(checkpoint_scaling="off").bind(stated).window == 32768
    # Whether max_position is before or after linear scaling no file says.
    assert ReRoPE().bind(stated.model_copy(update={"scaling": PI.Config(factor=4)})).window == 32768


def test_check_values_of_string():
    method = STRING(shift=2703, local=128).bind(rope(8192))
    assert last_row(method, [8191 - d for d in (2702, 2703, 8191)]) == [2702, 128, 5616]
    assert method.plan(100).temperature == pytest.approx(0.1 * math.log(2) + 1)


def test_what_window_methods_see():
    assert last_row(StreamingLLM(sinks=2, window=3).bind(rope(64)), list(range(10)), 10) == [
        *[4, 3],
        *[-1] * 5,
        *[2, 1, 0],
    ]
    assert last_row(LMInfinite(sinks=2, window=3).bind(rope(64)), list(range(10)), 10) == [
        *[3, 3],
        *[-1] * 5,
        *[2, 1, 0],
    ]


@pytest.mark.parametrize(
    ("method", "length", "fields"),
    [
        # (16384 - 1024) / G + 1024 <= 2/3 of 8192 from G = 4 on.
        (SelfExtend(), 16384, {"group": 4}),
        (SelfExtend(), 8192, {"group": 1}),
        (SelfExtend(group=3), 16384, {"group": 3}),
        (STRING(), 8192, {"shift": 2730}),
        (STRING(), 12288, {"shift": 12288 - 8192 + 128}),
        (STRING(), 65536, {"shift": 8192}),
        (DCA(), 8192, {"chunk": 8192}),
        (DCA(), 8193, {"chunk": 6144}),
        (LeakyReRoPE(), 16384, {"factor": 2.125}),
        (DPE(), 131072, {"scales": (19, 19, 19, 19, 32, 32, 32, 19)}),
        (ReRoPE(), 131072, {}),
    ],
)
def test_fields_for_a_length(method, length, fields):
    fitted = method.bind(rope(8192)).for_length(length)
    assert {name: getattr(fitted.config, name) for name in fields} == fields
    assert fitted.config == type(method)(**{**method.config.model_dump(exclude_unset=True), **fields}).config


def test_one_chunk_is_plain_rope():
    fitted = DCA().bind(rope(64)).for_length(64)
    index = torch.arange(64)
    assert torch.equal(fitted.plan(64).relative_positions(), (index[:, None] - index).clamp(min=-1))


def test_defaults_fit_small_windows():
    """No default leaves a trained window, however small it is."""
    for window in (64, 256, 2048):
        for method in (ReRoPE(), LeakyReRoPE(), SelfExtend(), DCA(), STRING(), StreamingLLM(), LMInfinite()):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                method.bind(rope(window)).plan(window)
            assert method.bind(rope(window)).reach() >= window


def test_dca_grows_its_temperature_on_request():
    assert DCA().bind(rope(4096)).plan(16384).temperature == 1
    growing = DCA(grow_temperature=True).bind(rope(4096))
    assert growing.plan(16384).temperature == pytest.approx(0.05 * math.log(4) + 1)
    assert growing.plan(1000).temperature == 1


def test_an_uneven_group_warns_once():
    method = SelfExtend(group=5, window=12).bind(ROPE)
    with pytest.warns(PositionWarning, match="group = 5 does not divide the window of 12"):
        method.plan(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.plan(30)
        SelfExtend(group=4, window=12).bind(ROPE).plan(20)


def test_a_plan_that_leaves_the_window_warns_with_numbers():
    with pytest.warns(PositionWarning, match="string: 100 tokens reach relative position 79, outside .* window of 64"):
        STRING(shift=24, local=4).bind(ROPE).plan(100)


def test_groups_of_dpe_divide_the_frequencies():
    with pytest.raises(ConfigError, match=r"scales = \(1, 2, 3\): 3 groups do not divide the 8 frequencies"):
        DPE(scales=(1, 2, 3)).bind(ROPE).plan(10)


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (DCA, {"chunk": 8, "local": 8}, "local = 8 must be below chunk = 8"),
        (STRING, {"shift": 8, "local": 9}, "local = 9 must not exceed shift = 8"),
        (SelfExtend, {"group": 0}, "group = 0: input should be greater than or equal to 1"),
        (DPE, {"scales": (2, 0)}, r"scales\.1 = 0: input should be greater than or equal to 1"),
        (DPE, {"scales": ()}, "scales = .*: tuple should have at least 1 item"),
        (StreamingLLM, {"sink": 4}, r"unknown field 'sink' \(did you mean 'sinks'\?\)"),
    ],
)
def test_bad_configs_get_one_sentence(cls, fields, message):
    with pytest.raises(ConfigError, match=message):
        cls(**fields)


def test_a_kept_scalings_temperature_stays_beside_the_methods():
    stated = RopeConfig(dim=16, max_position=256, original_window=64, scaling=YaRN.Config(factor=4))
    own = YaRN(factor=4).bind(stated).plan(1).temperature
    assert own > 1.1
    for method, times in [
        (SelfExtend(), 1.0),
        (SelfExtend(temperature=1.0), 1.0),
        (SelfExtend(temperature=1.3), 1.3),
        (STRING(), GENTLE_TEMPERATURE),
        (STRING(temperature=1.0), 1.0),
        (LaMPE(span=40, temperature=1.05), 1.05),
        (StreamingLLM(temperature=0.9), 0.9),
    ]:
        assert method.bind(stated).plan(60).temperature == pytest.approx(times * own, rel=1e-12)
        dropped = type(method)(method.config.model_copy(update={"checkpoint_scaling": "off"})).bind(stated)
        assert dropped.plan(60).temperature == pytest.approx(times, rel=1e-12)
    assert YaRN(factor=4, temperature=1.0).bind(stated).plan(200).temperature == 1.0


@pytest.mark.parametrize(
    ("scaling", "factor"),
    [(DynamicNTK.Config(factor=2), 1), (DynamicYaRN.Config(), 1), (DynamicYaRN.Config(factor=2), 2)],
)
@pytest.mark.parametrize("method", [ReRoPE(), SelfExtend(), LaMPE(span=300), LMInfinite()])
def test_a_scaling_that_follows_the_length_stops_at_the_window(method, scaling, factor):
    stated = RopeConfig(dim=16, max_position=512, original_window=512, scaling=scaling)
    bound = method.bind(stated)
    assert bound.window == 512 * factor
    expected = YaRN(factor=factor).bind(stated).frequencies(1)[0]
    for length in (100, 512, 1024):
        torch.testing.assert_close(bound.plan(length).inv_freq, expected, rtol=1e-6, atol=0)


def test_longropes_long_factors_stay_for_long_inputs():
    scaling = LongRoPE.Config(short_factor=(1.0,) * 8, long_factor=(4.0,) * 8)
    stated = RopeConfig(dim=16, max_position=512, original_window=64, scaling=scaling)
    bound = ReRoPE(original_window=32).bind(stated)
    ratios = [bound.plan(length).inv_freq / inverse_frequencies(stated.theta, 16) for length in (64, 65, 4096)]
    torch.testing.assert_close(torch.stack(ratios)[:, 0], torch.tensor([1.0, 0.25, 0.25]))


@pytest.mark.parametrize(
    ("window", "group"), [(1024, 4), (2730, 5), (5400, 4), (5460, 4), (6000, 5), (8191, 16384), (9000, 1)]
)
def test_a_wide_window_of_self_extend_leaves_groups_small(window, group):
    fitted = SelfExtend(window=window).bind(rope(8192)).for_length(16384)
    assert fitted.config.group == group
    assert fitted.reach() >= 16384 or window >= 8192


def test_the_least_group_is_found_without_trying_all():
    for window, near, length in product((8, 13, 64), (1, 3, 7, 12, 40, 63, 64, 70), (1, 8, 9, 50, 64, 65, 200, 997)):
        reaching = (group for group in range(1, 2000) if floored_reach(group, near, window) >= length)
        assert floored_group(length, near, window) == (next(reaching) if near < window else 1)
