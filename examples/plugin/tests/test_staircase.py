"""The shared matrix of lampe over the staircase."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from lampe_staircase import Staircase

from lampe.errors import ConfigError
from lampe.positional import PositionalEncoding
from lampe.testing import ROPE, WINDOW, Case, check


def formula(method: PositionalEncoding, length: int) -> Callable[[int, int], int]:
    """The position of one pair: each band counts groups of its own, from the position at which the nearer one ends."""
    window, group, ratio = method.config.window, method.config.group, method.config.ratio
    landing = window - window // group
    top = landing + sum(1 for token in range(window * ratio) if token % group == 0)

    def position(i: int, j: int) -> int:
        if i - j < window:
            return i - j
        if i - j < window * ratio:
            return landing + i // group - j // group
        wide = group * group
        return top + i // wide - j // wide - window * ratio // wide

    return position


CASE = Case(
    draw=st.builds(Staircase, window=st.integers(1, 40), group=st.integers(1, 6), ratio=st.integers(2, 4)),
    example=Staircase(window=12, group=2, ratio=2),
    formula=formula,
    near=lambda method, length: method.config.window,
)


def test_it_holds_the_matrix() -> None:
    tried = check(CASE, examples=10)
    assert min(tried.values()) > 0


def test_positions_never_fall_from_band_to_band() -> None:
    for window in range(1, 9):
        for group in range(1, 5):
            table = Staircase(window=window, group=group, ratio=2).bind(ROPE).plan(60).relative_positions()
            bands = [(0, window), (window, 2 * window), (2 * window, 60)]
            spans = [[int(table[i, i - d]) for d in range(*band) for i in range(d, 60)] for band in bands]
            assert all(max(near) <= min(far) for near, far in pairwise(spans))


@pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")
@pytest.mark.parametrize("length", [WINDOW, WINDOW + 1, 100, 1000, 20000])
def test_the_least_group_that_fits(length: int) -> None:
    chosen = Staircase().bind(ROPE).for_length(length).config.group
    largest = [Staircase(group=n).bind(ROPE).plan(length).largest_position() for n in range(1, chosen + 1)]
    assert largest[-1] < WINDOW <= min(largest[:-1], default=WINDOW)


def test_a_window_as_long_as_the_trained_one_leaves_no_room() -> None:
    method = Staircase(window=WINDOW).bind(ROPE)
    assert method.reach() == WINDOW
    assert method.for_length(1000).config.group == 1


def test_fields_are_checked() -> None:
    with pytest.raises(ConfigError, match="positional method 'staircase': ratio = 1: input should be greater than or"):
        Staircase(ratio=1)
