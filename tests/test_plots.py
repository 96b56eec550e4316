from __future__ import annotations

import math
import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from lampe.errors import MissingExtraError
from lampe.evaluation import Passkey, Perplexity, Summary
from lampe.plots import COLOURS, Differences, plot_curves, plot_differences, plot_grid, plot_scores, spread

LENGTHS = (2048, 8192, 16384)


def curves(**figures: list[float]) -> Summary:
    scores = {
        (label, (length, None)): (math.log(value),)
        for label, values in figures.items()
        for length, value in zip(LENGTHS, values, strict=False)
    }
    return Summary("perplexity", Perplexity, tuple(figures), tuple((length, None) for length in LENGTHS), scores)


def grid(found: dict[tuple[str, int, float], tuple[float, ...]]) -> Summary:
    columns = tuple((length, depth) for length in LENGTHS[1:] for depth in (0.1, 0.9))
    scores = {(label, (length, depth)): values for (label, length, depth), values in found.items()}
    return Summary("passkey", Passkey, ("RoPE", "LaMPE"), columns, scores)


def pixels(path: Path, colour: str) -> int:
    """How many pixels of a picture have a colour, within rounding."""
    wanted = [int(colour[begin : begin + 2], 16) / 255 for begin in (1, 3, 5)]
    return int((abs(imread(path)[..., :3] - wanted).max(axis=-1) < 0.01).sum())


def test_every_method_has_a_curve_in_its_colour(tmp_path: Path):
    summary = curves(RoPE=[9, 8, 2000], YaRN=[10, 9, 9.5])
    path = plot_curves(summary, tmp_path / "new" / "curves.png", title="Two methods", window=8192)
    image = imread(path)
    assert image.shape[:2] == (736, 1280)
    assert pixels(path, COLOURS[0]) > 1000
    assert pixels(path, COLOURS[1]) > 1000
    assert pixels(path, COLOURS[2]) == 0
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_a_curve_stands_where_its_figures_are(tmp_path: Path):
    def rows(summary: Summary) -> tuple[int, int]:
        image = imread(plot_curves(summary, tmp_path / "curves.png"))[:, :900, :3]
        line = (abs(image - [0xD5 / 255, 0x5E / 255, 0]).max(axis=-1) < 0.01).nonzero()[0]
        return int(line.min()), int(line.max())

    rising, flat = rows(curves(RoPE=[9, 8, 2000], YaRN=[9, 9, 9])), rows(curves(RoPE=[9, 8, 9], YaRN=[9, 9, 2000]))
    assert rising[1] - rising[0] > 350
    assert flat[1] - flat[0] < 60


def test_what_was_not_reached_is_no_point(tmp_path: Path):
    whole = plot_curves(curves(RoPE=[9, 8, 20], LaMPE=[9, 9, 9]), tmp_path / "whole.png")
    cut = plot_curves(curves(RoPE=[9, 8], LaMPE=[9, 9, 9]), tmp_path / "cut.png")
    broken = plot_curves(curves(RoPE=[9, 8, math.inf], LaMPE=[9, 9, 9]), tmp_path / "broken.png")
    assert whole.read_bytes() != cut.read_bytes() == broken.read_bytes()
    empty = plot_curves(curves(RoPE=[], LaMPE=[]), tmp_path / "empty.png", window=8192)
    assert (pixels(empty, COLOURS[0]), pixels(empty, COLOURS[1])) == (0, 0)


def test_a_grid_is_blue_where_keys_are_found_and_red_where_not(tmp_path: Path):
    cells = {("RoPE", 8192, 0.1): (1.0,), ("RoPE", 8192, 0.9): (1.0, 1.0), ("RoPE", 16384, 0.9): (0.0,)}
    found = grid({**cells, ("LaMPE", 8192, 0.1): (1.0,), ("LaMPE", 16384, 0.1): (1.0, 0.0)})
    path = plot_grid(found, tmp_path / "grid.png", title="Passkeys", window=8192)
    image = imread(path)[..., :3]
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    right, wrong = ((blue - red) > 0.25).sum(), ((red - blue) > 0.4).sum()
    unreached = pixels(path, "#EDEDED")
    # Three cells of eight were found, one was not, one was found half of the time, three were not reached.
    assert right == pytest.approx(3 * wrong, rel=0.1)
    assert unreached == pytest.approx(3 * wrong, rel=0.15)
    assert ((green > 0.95) & (blue < 0.8)).sum() == pytest.approx(wrong, rel=0.15)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as error:
        plot_curves(curves(RoPE=[1, 2, 3]), tmp_path / "curves.png")
    assert str(error.value) == "a picture needs matplotlib: pip install 'lampe[plots]'"


def test_a_picture_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    def full(file):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        plot_curves(curves(RoPE=[1, 2, 3]), tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


@given(heights=st.lists(st.floats(0, 1), max_size=8).map(sorted), gap=st.floats(0.01, 0.3))
def test_labels_never_touch_and_stay_near(heights, gap):
    moved = spread(heights, gap)
    assert len(moved) == len(heights)
    assert all(after - before >= gap - 1e-9 for before, after in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(heights))
    apart = all(after - before >= gap for before, after in pairwise(heights))
    if apart:
        assert moved == pytest.approx(heights)


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=30).map(sorted), gap=st.floats(0.01, 0.3))
def test_labels_stay_inside_where_they_must(heights, gap):
    moved = spread(heights, gap, low=0, high=1)
    room = min(gap, 1 / max(len(heights) - 1, 1))
    assert all(after - before >= room - 1e-9 for before, after in pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 1 + 1e-9


def test_a_grid_of_many_methods_is_as_wide_as_a_page_and_as_high_as_it_must(tmp_path: Path):
    labels = tuple(f"method {number}" for number in range(14))
    scores = {(label, (length, 0.5)): (1.0,) for label in labels for length in LENGTHS}
    columns = tuple((length, 0.5) for length in LENGTHS)
    image = imread(plot_grid(Summary("passkey", Passkey, labels, columns, scores), tmp_path / "grid.png"))
    # Five panels fit into a row: three rows.
    assert image.shape[1] == round(160 * (1.0 + 5 * (3 * 0.85 + 0.2)))
    assert image.shape[0] == round(160 * (0.4 + 3 * 1.7))


def test_scores_stand_where_they_are_and_say_how_sure_they_are(tmp_path: Path):
    def rows(low: float | None, high: float | None) -> tuple[int, int]:
        scores = {"RoPE": {4096: (0.5, low, high)}, "LaMPE": {4096: (1.0, None, None), 8192: (0.0, None, None)}}
        image = imread(plot_scores(scores, tmp_path / "scores.png", ylabel="score"))[:, :1000, :3]
        # The bar is lighter than the line that ends in its point.
        found = ((image[..., 0] - image[..., 2]) > 0.2).nonzero()[0]
        return int(found.min()), int(found.max())

    point, narrow, wide = rows(None, None), rows(0.4, 0.6), rows(0.2, 0.8)
    assert point[1] - point[0] < 20
    assert wide[1] - wide[0] == pytest.approx(3 * (narrow[1] - narrow[0]), rel=0.05)
    assert sum(wide) == pytest.approx(sum(point), abs=6)


def test_fourteen_methods_have_looks_of_their_own_and_names_inside_the_picture(tmp_path: Path):
    names = [f"method ${number}$" for number in range(14)]
    scores = {name: {4096: (1.0, 0.9, 1.0), 8192: (1.0, None, None)} for name in names}
    image = imread(plot_scores(scores, tmp_path / "scores.png", ylabel="score", window=4096))[..., :3]
    # All lines end at the upper edge; names beside them stay in the picture, and leave a margin of background.
    assert (image[:3] == 1).all()
    assert (image[-3:] == 1).all()
    assert (image[:, -3:] == 1).all()
    colours = [name for name in COLOURS if pixels(tmp_path / "scores.png", name) > 300]
    assert colours == list(COLOURS)
    assert pixels(tmp_path / "scores.png", "#F4F1EA") > 50_000


def test_perplexities_that_are_infinite_are_no_points(tmp_path: Path):
    curves = {
        "RoPE": {4096: (9.0, 8.0, math.inf), 8192: (math.inf, None, None)},
        "YaRN": {4096: (math.nan, None, None)},
    }
    broken = plot_scores(curves, tmp_path / "broken.png", ylabel="perplexity", log=True)
    curves = {"RoPE": {4096: (9.0, None, None), 8192: (math.nan, None, None)}, "YaRN": {}}
    assert plot_scores(curves, tmp_path / "cut.png", ylabel="perplexity", log=True).read_bytes() == broken.read_bytes()
    empty = plot_scores({"RoPE": {}}, tmp_path / "empty.png", ylabel="perplexity", log=True, window=8192)
    assert pixels(empty, COLOURS[0]) == 0


def test_figures_that_reach_zero_are_drawn_on_a_linear_scale(tmp_path: Path):
    curves = {"RoPE": {4096: (0.0, 0.0, 2.0), 8192: (4.0, 3.0, 5.0)}, "YaRN": {4096: (2.0, None, None)}}
    linear = plot_scores(curves, tmp_path / "linear.png", ylabel="errors").read_bytes()
    assert plot_scores(curves, tmp_path / "log.png", ylabel="errors", log=True).read_bytes() == linear
    # An interval alone is enough.
    curves["RoPE"][4096] = (1.0, 0.0, 2.0)
    linear = plot_scores(curves, tmp_path / "linear.png", ylabel="errors").read_bytes()
    assert plot_scores(curves, tmp_path / "log.png", ylabel="errors", log=True).read_bytes() == linear
    curves["RoPE"][4096] = (1.0, 0.5, 2.0)
    linear = plot_scores(curves, tmp_path / "linear.png", ylabel="errors").read_bytes()
    assert plot_scores(curves, tmp_path / "log.png", ylabel="errors", log=True).read_bytes() != linear


def test_differences_are_blue_where_better_red_where_worse_and_grey_where_none(tmp_path: Path):
    panel = Differences(
        "passkey", (4096, 8192), [[1.0, -1.0], [0.0, None]], [["+0.5", "-0.5"], ["0", ""]], [[True, False]] * 2
    )
    path = plot_differences([panel, panel], ["YaRN", "LaMPE"], tmp_path / "differences.png", title="Two", window=4096)
    image = imread(path)[..., :3]
    apart = image[..., 2] - image[..., 0]
    better, worse, none = (apart > 0.3).sum(), (apart < -0.3).sum(), pixels(path, "#EDEDED")
    assert better == pytest.approx(worse, rel=0.15)
    assert none == pytest.approx(worse, rel=0.2)
    assert better > 5_000


def test_a_title_longer_than_its_panels_is_not_cut_off(tmp_path: Path):
    panel = Differences("passkey", (4096,), [[0.0]], [["0"]], [[False]])
    title = "a model with a name that is much longer than one narrow panel"
    image = imread(plot_differences([panel], ["LaMPE"], tmp_path / "differences.png", title=title))
    assert (image[:, -3:, :3] == 1).all()


def test_a_window_left_of_every_length_does_not_push_names_out(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    figures = {"a method with a name of some length": [9, 8, 9], "and another": [10, 9, 9.5]}
    path = plot_curves(curves(**figures), tmp_path / "curves.png", window=1000)
    assert not recwarn.list
    # A name that ends inside the picture leaves a margin of background.
    assert (imread(path)[:, -3:, :3] == 1).all()
