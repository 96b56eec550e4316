"""Plans and regions, apart from what the matrix says of every method."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from lampe.positional import LaMPE, PositionPlan, PositionWarning, Region, RoPE
from lampe.testing import ROPE, WINDOW

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


def test_largest_position_when_key_positions_wrap():
    wrapped = Region("wrapped", key_position=lambda j: j % 7)
    plan = PositionPlan(50, torch.ones(2), (wrapped,))
    assert plan.largest_position() == plan.relative_positions().max() == 49


def test_frequency_groups_have_coordinates_of_their_own():
    grouped = Region("grouped", key_position=lambda j: torch.stack([j, j // 2], dim=1))
    region = Region(
        "grouped", query_position=lambda i: torch.stack([i, i // 2], dim=1), key_position=grouped.key_position
    )
    plan = PositionPlan(6, torch.tensor([1.0, 0.5, 0.25, 0.125]), (region,))
    assert plan.relative_positions()[5, 2].tolist() == [3, 1]
    assert plan.relative_positions()[2, 5].tolist() == [-1, -1]
    angles = plan.angles(region.query_position(torch.tensor([5])))
    assert angles.tolist() == [[5.0, 2.5, 0.5, 0.25]]


def test_log_n_scales_queries_beyond_the_window_only():
    plan = RoPE(log_n=True, temperature=2.0).bind(ROPE).plan(10)
    queries = torch.tensor([0, WINDOW - 1, WINDOW * WINDOW - 1])
    assert plan.query_scale(queries).tolist() == pytest.approx([4.0, 4.0, 8.0])


def test_a_plan_outside_the_trained_window_warns_once_with_numbers():
    method = RoPE().bind(ROPE)
    with pytest.warns(PositionWarning, match=r"rope: 100 tokens reach relative position 99, outside .* window of 64"):
        method.plan(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.plan(200)
        LaMPE(head=8, tail=8, span=40).bind(ROPE).plan(400)


def test_positions_behind_a_sliding_window_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RoPE().bind(ROPE).plan(100, sliding_window=WINDOW).largest_position() == 99
    with pytest.warns(PositionWarning, match="reach relative position 64"):
        RoPE().bind(ROPE).plan(100, sliding_window=WINDOW + 1)


def test_original_window_overrides_the_checkpoint():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RoPE(original_window=101).bind(ROPE).plan(100)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key_position": lambda j: 0}, "region 'far': key_position of 3 token indices gives 0; a tensor of 3 numbers"),
        ({"query_position": lambda i: math.log(i + 1)}, "query_position takes no tensor of token indices"),
        ({"query_position": lambda i: (i - 30.0).sqrt()}, r"query_position of tokens \[10, 19\] is \[nan, nan\]"),
        (
            {"key_position": lambda j: j[:, None] // torch.tensor([1, 2, 3])},
            r"key_position gives \[3, 3\]; a coordinate for each token, or one for each of so many groups",
        ),
        ({"key_position": lambda j: j[:, None, None]}, r"key_position gives \[3, 1, 1\]; a coordinate"),
    ],
)
def test_coordinates_are_tensors_of_finite_numbers(fields, message):
    class Broken(RoPE):
        def regions(self, length: int) -> tuple[Region, ...]:
            return Region.band("near", 0, 8), Region.band("far", 8, **fields)

    with pytest.raises(ValueError, match=message):
        Broken().bind(ROPE).plan(20)


@pytest.mark.parametrize(
    ("overridden", "message"),
    [
        (
            {"frequencies": lambda self, length: (torch.ones(16), 1.0)},
            r"rope: inv_freq .* a tensor of shape \[16\]; .*\[8\]",
        ),
        ({"frequencies": lambda self, length: ([1.0] * 8, 1.0)}, "inv_freq of frequencies is a list of 8"),
        (
            {"frequencies": lambda self, length: torch.ones(8)},
            r"frequencies returns a tensor of shape \[8\]; \(inv_freq, te",
        ),
        ({"regions": lambda self, length: None}, "rope: regions returns None; a tuple of Regions would be accepted"),
        ({"regions": lambda self, length: Region("all")}, r"regions returns Region\(.*\); a tuple of Regions"),
        ({"regions": lambda self, length: ()}, "regions returns a tuple of 0"),
        (
            {"regions": lambda self, length: (Region("all", start=lambda i: i / 2),)},
            r"region 'all': start gives torch.float32 \[3\]; a whole number for each query, int64 \[3\]",
        ),
    ],
)
def test_what_a_method_returns_is_checked(overridden, message):
    with pytest.raises(ValueError, match=message):
        type("Broken", (RoPE,), overridden)().bind(ROPE).plan(20)


def test_a_plan_ends_where_single_precision_does():
    assert RoPE(original_window=2**24).bind(ROPE).plan(2**24).largest_position() == 2**24 - 1
    for length in (0, 2**24 + 1):
        with pytest.raises(ValueError, match=f"at least 1 token and at most 16777216, got {length}"):
            RoPE().bind(ROPE).plan(length)
