"""LaMPE against the check values of its specification."""

from __future__ import annotations

import warnings

import pytest
import torch

from lampe.config import RopeConfig
from lampe.errors import ConfigError, PlanError
from lampe.positional import PROFILES, LaMPE, PositionPlan, PositionWarning, Profile, ProfileWarning
from lampe.testing import ROPE

LARGE = RopeConfig(theta=500000.0, dim=128, max_position=8192, original_window=8192)

CHECKS = [
    # N, U, h, t, [(d, relative position of query N - 1)]
    (16384, 1536, 512, 200, {511: 511, 512: 513, 8192: 1233, 16181: 1982, 16182: 1982, 16383: 2183}),
    (16384, 1993, 1024, 200, {1023: 1023, 1024: 1025, 8192: 1897, 16178: 2869, 16179: 2869, 16383: 3073}),
    (32768, 4501, 1024, 200, {1023: 1023, 1024: 1025, 16384: 3135, 32564: 5358, 32565: 5358, 32767: 5560}),
    (2048, 1536, 512, 200, {511: 511, 512: 513, 1024: 897, 1846: 1514, 1847: 1514, 2047: 1714}),
    (4096, 300, 256, 64, {255: 255, 256: 257, 2048: 389, 4027: 534, 4028: 534, 4095: 601}),
]


def last_row(plan: PositionPlan, distances: list[int]) -> list[int]:
    """Relative positions of the last planned query."""
    query = torch.tensor([plan.length - 1])
    found = []
    for distance in distances:
        key = query - distance
        owners = [r for r in plan.regions if r.interval(query)[0] <= key < r.interval(query)[1]]
        assert len(owners) == 1
        found.append(int(owners[0].query_position(query) - owners[0].key_position(key)))
    return found


@pytest.mark.parametrize(("length", "span", "head", "tail", "expected"), CHECKS)
def test_check_values(length, span, head, tail, expected):
    plan = LaMPE(head=head, tail=tail, span=span).bind(LARGE).plan(length)
    assert last_row(plan, list(expected)) == list(expected.values())
    assert plan.largest_position() == max(expected.values())


def test_check_values_of_the_release():
    plan = LaMPE(head=512, tail=200, span=1536, variant="release").bind(LARGE).plan(16384)
    assert last_row(plan, [511, 512, 8192, 16181, 16383]) == [511, 512, 1232, 1981, 2182]


@pytest.mark.parametrize(("span", "head", "tail", "length"), [(4500, 1024, 200, 32768), (1000, 64, 0, 8192)])
def test_the_papers_variant_ends_one_below_its_span(span, head, tail, length):
    plan = LaMPE(head=head, tail=tail, span=span, variant="paper").bind(LARGE).plan(length)
    slope = (span - head - tail) / (length - head - tail)
    reach = next(x for x in range(tail, length) if int(slope * (x + 1)) != int(slope * tail)) if tail else 0
    # The tail takes in its whole group; g(i) - g(j) and b1 are each within one of the paper's floor of a function of d.
    assert abs(plan.largest_position() - (span - 1 + (1 - slope) * (reach - tail))) <= 2


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("llama2", [1536, 1283, 1702, 2239, 2473, 2489]),
        ("llama3", [1536, 1036, 1993, 4501, 6129, 6204]),
        ("mistral", [1536, 4104, 7898, 17829, 24280, 24575]),
        ("llama3.1", [PROFILES["llama3.1"].span(8191), 6728, 9389, 17468, 44548, 78864]),
    ],
)
def test_published_profiles(name, spans):
    lengths = [8191, 8192, 16384, 32768, 65536, 131072]
    assert [Profile.load(name).span(n) for n in lengths] == spans
    assert [LaMPE(profile=name).bind(LARGE).span(n) for n in lengths] == spans


def test_temperature_is_constant_and_configurable():
    assert LaMPE(span=40).bind(ROPE).plan(20).temperature == pytest.approx(1.069315, abs=1e-6)
    assert LaMPE(span=40, head=4, tail=4).bind(ROPE).plan(400).temperature ** 2 == pytest.approx(1.143434, abs=1e-6)
    assert LaMPE(span=40, head=4, tail=4, temperature=1.0).bind(ROPE).plan(400).temperature == 1.0


@pytest.mark.parametrize(
    ("length", "span", "head", "tail"), [(60, 59, 8, 8), (60, 400, 8, 8), (16, 8, 8, 0), (30, 5, 8, 22), (31, 3, 8, 22)]
)
def test_positions_are_true_where_nothing_needs_mapping(length, span, head, tail):
    plan = LaMPE(head=head, tail=tail, span=span).bind(ROPE).plan(length)
    index = torch.arange(length + 10)
    expected = (index[:, None] - index).clamp(min=-1)
    assert torch.equal(plan.relative_positions(length + 10), expected)


def test_the_default_curve_warns_once_and_names_the_command():
    method = LaMPE().bind(LARGE)
    with pytest.warns(ProfileWarning, match="lampe calibrate"):
        assert method.span(16384) == int(0.75 * 8192 * 0.3213182)  # llama3's sigmoid at 16384
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert method.span(4096) == 1536
    small = Profile.default(2048)
    assert (small.span(1024), small.span(4096)) == (384, int(1536 / (1 + 1 / 0.47282)))


def test_a_span_that_leaves_the_window_warns():
    with pytest.warns(PositionWarning, match="outside the trained window of 8192"):
        LaMPE(head=512, tail=200, span=8100).bind(LARGE).plan(16384)


def test_the_scaling_of_the_checkpoint_stays_unless_dropped():
    from lampe.positional import Llama3, RoPE

    rope = RopeConfig(theta=5e5, dim=128, max_position=131072, original_window=8192, scaling=Llama3.Config(factor=8))
    kept = LaMPE(span=4000, head=512).bind(rope)
    assert torch.equal(kept.plan(16384).inv_freq, Llama3(factor=8).bind(rope).plan(16384).inv_freq)
    assert kept.window == 131072
    dropped = LaMPE(span=4000, head=512, checkpoint_scaling="off").bind(rope)
    assert torch.equal(dropped.plan(16384).inv_freq, RoPE().bind(rope).plan(100).inv_freq)
    assert dropped.window == 8192


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"heads": 4},
            r"positional method 'lampe': unknown field 'heads' \(did you mean 'head'\?\); fields: .*head, tail",
        ),
        ({"head": -1}, r"head = -1: input should be greater than or equal to 0"),
        ({"head": 0, "variant": "release"}, r"variant .release. needs head >= 1, not 0"),
        ({"span": "wide"}, r"span\.int = 'wide'|span.*= 'wide'"),
        ({"variant": "exact"}, r"variant = 'exact': input should be 'span', 'paper' or 'release'"),
        ({"profile": "lama3"}, r"'lama3': neither a file nor a known name \(did you mean 'llama3'\?\); names: llama2"),
        ({"profile": "llama3", "span": 100}, r"profile = 'llama3' needs span = 'auto', not 100"),
        ({"variant": "paper", "span": 100, "head": 64, "tail": 36}, r"needs span > head \+ tail, not 100"),
    ],
)
def test_bad_configs_get_one_sentence(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        LaMPE(**fields)
    assert "\n" not in str(caught.value)


def test_a_span_too_coarse_for_the_length_is_refused():
    with pytest.raises(ValueError, match="span = 1 is too coarse for 1000 tokens"):
        LaMPE(head=10, tail=10, span=1).bind(ROPE).plan(1000)


def test_a_profile_file_is_read_and_refused_with_a_reason(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text('{"a": 1e-4, "b": -2.0, "l_max": 6000}')
    assert LaMPE(profile=str(path)).bind(LARGE).span(16384) == int(6000 / (1 + 2.718281828459045 ** -(1.6384 - 2)))
    path.write_text('{"a": 1e-4, "b": -2.0}')
    with pytest.raises(ConfigError, match="'l_max' is missing"):
        LaMPE(profile=str(path))
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        LaMPE(profile=str(path))


def test_the_papers_slope_leaves_inputs_inside_a_small_window_alone():
    small = RopeConfig(theta=1e4, dim=16, max_position=2048, original_window=2048)
    index = torch.arange(2048)
    for method in (LaMPE(span=300, variant="paper"), LaMPE(profile="default", variant="paper")):
        plan = method.bind(small).plan(2048)
        assert torch.equal(plan.relative_positions(), (index[:, None] - index).clamp(min=-1))
    with pytest.raises(PlanError, match=r"variant 'paper' needs span > head \+ tail = 328, got 300 at 2049 tokens"):
        LaMPE(span=300, variant="paper").bind(small).plan(2049)


def test_the_release_needs_a_head_from_the_profile_too(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text('{"a": 1e-4, "b": -2.0, "l_max": 6000, "head": 0, "tail": 0}')
    for field in ({"head": 0}, {"profile": str(path)}):
        with pytest.raises(ConfigError, match="variant 'release' needs head >= 1, not 0"):
            LaMPE(variant="release", **field).bind(LARGE)
    assert LaMPE(variant="release", profile=str(path), head=8).bind(LARGE).head == 8
