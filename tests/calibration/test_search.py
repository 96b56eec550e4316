from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampe.calibration.search import Scan, ladder, mean, standard_error
from lampe.errors import ConfigError
from lampe.positional.profile import Point


def measured(loss, contexts: int = 1):
    """Losses of a span by a formula; notes in `asked` which spans were asked for."""
    asked: list[int] = []

    def measure(span: int) -> list[float]:
        asked.append(span)
        return [loss(span)] * contexts

    return measure, asked


def searched(loss, highest: int, *, lowest: int = 500, mapped: bool = True, noise: float = 1e-4) -> tuple[Scan, list]:
    measure, asked = measured(loss)
    scan = Scan(16384, highest, mapped, noise)
    scan.walk(measure, lowest=lowest, ratio=1.5, patience=2)
    scan.narrow(measure, finest=1.1)
    return scan, asked


def test_ladder_goes_down_in_equal_ratios():
    assert ladder(8000, 1000, 2) == [8000, 4000, 2000, 1000]
    assert ladder(7472, 1024, 1.5) == [7472, 4981, 3321, 2214, 1476]
    assert ladder(300, 1024, 1.5) == [300]
    assert ladder(3, 1, 1.1)[0::20] == [3]


@given(st.integers(600, 7000), st.integers(1000, 7472))
def test_the_best_of_a_v_is_found_within_the_finest_ratio(optimum, highest):
    scan, asked = searched(lambda span: abs(math.log(span / optimum)), highest)
    wanted = min(max(optimum, 500), highest)
    # Narrowing stops between neighbours closer than the square of the finest ratio.
    assert abs(math.log(scan.best / wanted)) <= 2 * math.log(1.1) + 0.2 * (wanted < 900)
    assert len(asked) == len(set(asked)) == len(scan.losses)


def test_a_fall_to_the_edge_takes_few_spans():
    scan, asked = searched(lambda span: 1000 / span, 7472)
    assert asked[:3] == [7472, 4981, 3321]
    assert len(asked) == 4
    point = scan.point()
    assert (point.span, point.edge, point.mapped) == (7472, True, True)


def test_true_positions_are_best_where_mapping_does_not_help():
    scan, _ = searched(lambda span: 0.0 if span == 8191 else 0.2, 8191, mapped=False)
    point = scan.point()
    assert (point.span, point.edge, point.mapped) == (8191, False, False)
    inside, _ = searched(lambda span: abs(span - 3000), 8191, mapped=False)
    assert inside.point().mapped


def test_a_walk_passes_a_single_bump():
    losses = {7472: 1.0, 4981: 1.2, 3321: 0.5, 2214: 0.9, 1476: 0.9, 984: 0.1}
    measure, asked = measured(losses.__getitem__)
    scan = Scan(16384, 7472, True, 0.01)
    scan.walk(measure, lowest=900, ratio=1.5, patience=2)
    assert asked == [7472, 4981, 3321, 2214, 1476]
    assert scan.best == 3321


def test_narrowing_ends_inside_the_noise():
    def loss(span: int) -> float:
        return abs(math.log(span / 4000))

    measure, asked = measured(loss)
    coarse = Scan(16384, 7472, True, 1.0)
    coarse.walk(measure, lowest=500, ratio=1.5, patience=2)
    before = len(asked)
    coarse.narrow(measure, finest=1.1)
    # One round, which gains less than a nat; without the noise there are more.
    assert len(asked) - before == 2
    fine, all_asked = searched(loss, 7472)
    assert len(all_asked) > len(fine.between(1.1)) + before


def test_noise_between_contexts_widens_the_plateau():
    losses = {4000: (2.0, 3.0, 4.0), 3000: (2.2, 2.9, 4.1), 2000: (2.5, 3.5, 4.5), 6000: (2.3, 2.8, 4.0)}
    scan = Scan(16384, 6000, True, 0.001, dict(losses))
    assert standard_error(losses[3000], losses[4000]) == pytest.approx(math.sqrt(0.07 / 3 / 3), rel=1e-6)
    point = scan.point()
    assert (point.span, point.low, point.high) == (4000, 3000, 6000)
    assert [tried.span for tried in point.tried] == [2000, 3000, 4000, 6000]
    assert point.tried[0].error == pytest.approx(0.0)
    assert point.tried[2].error == 0.0
    assert point.tried[1].loss == pytest.approx(9.2 / 3)
    assert all(tried.contexts == 3 for tried in point.tried)


def test_of_equal_losses_the_largest_span_is_best():
    scan = Scan(16384, 6000, True, 0.001, {2000: (0.0,), 4000: (0.0,), 6000: (0.5,)})
    assert scan.best == 4000
    assert standard_error((1.0,), (2.0,)) is None
    spans = sorted(scan.between(1.1))
    assert all(a < b for a, b in pairwise(spans))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_infinitely_bad(bad):
    losses = {7472: (1.0, bad), 4981: (1.0, 1.1), 3321: (bad, bad), 2214: (1.2, 1.3), 1476: (0.1, 0.1)}
    scan, asked = Scan(16384, 7472, True, 0.01), []
    scan.walk(lambda span: asked.append(span) or losses[span], lowest=900, ratio=1.5, patience=2)
    # The two that are worse than the best end the walk, as ever.
    assert asked == [7472, 4981, 3321, 2214]
    scan.narrow(lambda span: (bad, 1.0), finest=1.1)
    point = scan.point()
    assert (point.span, point.low, point.high, point.edge) == (4981, 4981, 4981, False)
    assert [tried.span for tried in point.tried] == [2214, 4981]
    assert Point.model_validate_json(point.model_dump_json()) == point
    assert mean((1.0, bad)) == math.inf
    assert standard_error((1.0, bad), (1.0, 2.0)) is None


def test_infinity_that_comes_back_as_nan_changes_nothing():
    def found(bad: float) -> Point:
        # It is not worse than itself, so the walk goes on until something finite is found.
        return searched(lambda span: bad if span > 2000 else 1000 / span, 7472)[0].point()

    assert found(math.inf) == found(math.nan)
    assert 1700 < found(math.nan).span <= 2000


def test_a_length_without_a_finite_loss_is_refused():
    scan, asked = Scan(300, 120, True, 0.01), []
    measure = lambda span: asked.append(span) or (math.nan,)  # noqa: E731
    scan.walk(measure, lowest=16, ratio=1.5, patience=2)
    walked = len(asked)
    with pytest.raises(ConfigError, match=r"^length = 300: none of the 5 spans that were tried \(24 to 120\) has a"):
        scan.narrow(measure, finest=1.1)
    assert len(asked) == walked
