from __future__ import annotations

import builtins
import math
import random

import pytest

from lampe.calibration import fit_curve
from lampe.errors import ConfigError, MissingExtraError
from lampe.positional import PROFILES, Profile
from lampe.positional.profile import Point, Tried

WINDOWS = {"llama2": 4096, "llama3": 8192, "mistral": 32768, "llama3.1": 131072}


def point(length: int, span: int, *, width: float = 1.0, mapped: bool = True) -> Point:
    return Point(
        length=length,
        span=span,
        low=round(span / width),
        high=round(span * width),
        mapped=mapped,
        edge=False,
        noise=0.005,
        tried=(Tried(span=span, loss=1.0, contexts=1),),
    )


def sampled(name: str, multiples=(1 / 8, 1 / 4, 1 / 2, 1, 1.5, 2, 3, 4, 8, 16), **options) -> list[Point]:
    known = PROFILES[name]
    lengths = [round(m * WINDOWS[name]) for m in multiples]
    return [point(n, known.span(n), **options) for n in lengths if n >= known.short_below]


@pytest.mark.parametrize("name", list(PROFILES))
def test_points_of_a_published_curve_give_it_back(name):
    known, window = PROFILES[name], WINDOWS[name]
    fit = fit_curve(sampled(name), window, window)
    # Spans are whole numbers, so that little is lost.
    assert fit.profile.a == pytest.approx(known.a, rel=0.01)
    assert fit.profile.b == pytest.approx(known.b, rel=0.01)
    assert fit.profile.l_max == pytest.approx(known.l_max, rel=0.01)
    assert fit.error < 0.002
    for length in (2 * window, 5 * window, 32 * window):
        assert fit.profile.span(length) == pytest.approx(known.span(length), rel=0.01)


def test_noisy_points_give_the_curve_within_their_noise():
    draws = random.Random(3)
    points = [point(p.length, round(p.span * math.exp(draws.gauss(0, 0.05))), width=1.05) for p in sampled("llama3")]
    fit = fit_curve(points, 8192, 8192)
    for length in (8192, 16384, 32768, 131072):
        assert fit.profile.span(length) == pytest.approx(PROFILES["llama3"].span(length), rel=0.1)
    assert 0.01 < fit.error < 0.1


def test_one_wrong_point_does_not_bend_the_curve():
    points = sampled("llama3", width=1.05)
    points[2] = point(points[2].length, points[2].span // 3, width=1.05)
    fit = fit_curve(points, 8192, 8192)
    for length in (8192, 16384, 65536):
        assert fit.profile.span(length) == pytest.approx(PROFILES["llama3"].span(length), rel=0.1)


def test_lengths_that_need_no_mapping_keep_true_positions():
    points = [point(4096, 4095, mapped=False), point(8192, 8191, mapped=False), *sampled("llama3", (2, 3, 4, 8))]
    fit = fit_curve(points, 8192, 8192)
    assert (fit.profile.short_below, fit.profile.short_span) == (8193, 8192)
    assert fit.profile.span(8192) == 8192
    assert fit.profile.span(16384) == pytest.approx(1993, rel=0.01)
    # A longer length that happens to like true positions is no part of the rule, nor of the sigmoid.
    odd = fit_curve([*sampled("llama3", (1, 2, 4, 8)), point(12000, 11999, mapped=False)], 8192, 8192)
    assert odd.profile.short_below == 0
    assert odd.profile.span(16384) == pytest.approx(1993, rel=0.02)


def test_the_limit_holds_and_few_points_stay_sane():
    edge = [point(n, 7400) for n in (12288, 16384, 24576)]
    assert fit_curve(edge, 8192, 7200).profile.l_max <= 7200
    assert fit_curve(edge, 8192, 7200).profile.span(16384) > 7000
    single = fit_curve([point(16384, 3000)], 8192, 7400).profile
    assert single.span(16384) == pytest.approx(3000, rel=0.01)
    default = Profile.default(8192)
    # What one point leaves open is llama3's shape.
    assert single.a == pytest.approx(default.a, rel=0.5)


def test_no_mapped_point_is_refused():
    with pytest.raises(
        ConfigError, match=r"none of the lengths that were measured \(4096\); lengths above the trained"
    ):
        fit_curve([point(4096, 4095, mapped=False)], 8192, 8192)
    with pytest.raises(ConfigError, match=r"measured \(none\)"):
        fit_curve([], 8192, 8192)


def test_without_scipy_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"fitting a curve needs scipy: pip install 'lampe\[calibration\]'"):
        fit_curve([point(16384, 3000)], 8192, 8192)
