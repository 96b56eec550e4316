from __future__ import annotations

import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

from lampe.errors import MissingExtraError
from lampe.evaluation.compare import pictures
from lampe.evaluation.compare.pictures import draw
from lampe.evaluation.compare.report import Report
from tests.evaluation.compare.records import record


def needles(depths: list[float | str], kind: str = "passkey", **fields) -> list:
    return [
        record(kind, label, 4096, float(label == "LaMPE"), trial=trial, depth=depth, **fields)
        for label in ("RoPE", "LaMPE")
        for trial, depth in enumerate(depths)
    ]


LOSSES = [record("perplexity", label, 4096, loss) for label, loss in [("RoPE", 3.0), ("LaMPE", 2.0)]]


def test_each_task_has_its_curves_and_a_needle_task_its_grid(tmp_path: Path):
    report = Report.of([*needles([0.1, 0.9]), *LOSSES], baseline="RoPE", window=2048)
    made = draw(report, tmp_path / "new")
    assert [(picture.path.name, picture.task) for picture in made] == [
        ("differences.png", None),
        ("passkey.png", "passkey"),
        ("passkey-depths.png", "passkey"),
        ("perplexity.png", "perplexity"),
    ]
    assert made[2].text == "passkey on m by depth and length, a grid for each method"
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(item.path.name for item in made)


def test_names_of_models_and_tasks_never_share_a_file(tmp_path: Path):
    made = [
        record("perplexity", "RoPE", 4096, 1.0, name=name, model=model) for name in ["a/b", "a:b"] for model in "mn"
    ]
    names = [picture.path.name for picture in draw(Report.of(made), tmp_path)]
    assert names == ["1-a-b.png", "1-a-b-2.png", "2-a-b.png", "2-a-b-2.png"]


def test_depths_that_are_many_are_shown_by_tenths(tmp_path: Path, monkeypatch):
    grids = []
    monkeypatch.setattr(pictures, "plot_grid", lambda summary, path, **_: grids.append(summary))
    draw(Report.of(needles([0.0, 0.25, 1.0])), tmp_path)
    draw(Report.of(needles([number / 39 for number in range(40)])), tmp_path)
    assert grids[0].columns == ((4096, 0.0), (4096, 0.25), (4096, 1.0))
    assert grids[1].columns == tuple((4096, tenth / 10) for tenth in range(11))
    # 10/39, 11/39 and from 0.25 to 0.35 on: 0.256, 0.282, 0.308, 0.333.
    assert grids[1].scores["LaMPE", (4096, 0.3)] == (1.0,) * 4
    assert grids[1].scores["RoPE", (4096, 0.0)] == (0.0,) * 2
    assert sum(len(scores) for scores in grids[1].scores.values()) == 80


@pytest.mark.parametrize("depths", [[0.1, "deep"], [0.1, True], [10.0, 90.0]])
def test_depths_that_are_no_fractions_make_no_grid(tmp_path: Path, depths):
    assert [picture.path.name for picture in draw(Report.of(needles(depths)), tmp_path)] == ["passkey.png"]


def test_losses_of_needles_make_no_grid_whose_colours_would_call_the_worst_best(tmp_path: Path):
    for scale in (0.5, 2.0):
        losses = [item.model_copy(update={"score": scale * item.score}) for item in needles([0.1, 0.9], "passkey-loss")]
        assert [picture.path.name for picture in draw(Report.of(losses), tmp_path)] == ["passkey-loss.png"]


def test_shades_tell_better_from_worse_and_scores_from_perplexities():
    def shade(kind: str, base: float, other: float) -> float | None:
        made = [record(kind, "RoPE", 4096, base), record(kind, "LaMPE", 4096, other)]
        report = Report.of(made, baseline="RoPE")
        return pictures._shade(report.row("m", kind, "LaMPE", 4096), kind == "perplexity")

    assert shade("passkey", 0.5, 0.75) == pytest.approx(0.5)
    assert shade("passkey", 1.0, 0.0) == -1.0
    assert shade("perplexity", 2.0, 2.0) == 0.0
    # exp(2.0) is 0.905 of exp(2.1): twice what it lacks.
    assert shade("perplexity", 2.1, 2.0) == pytest.approx(2 * (1 - 0.904837), rel=1e-4)
    assert shade("perplexity", 2.0, 2.1) == pytest.approx(-2 * (1 - 0.904837), rel=1e-4)
    assert shade("perplexity", 2.0, float("inf")) == -1.0
    assert shade("perplexity", 2.0, float("nan")) is None


def test_the_overview_is_blue_where_a_method_is_better(tmp_path: Path):
    def blue(baseline: str) -> tuple[int, int]:
        image = imread(draw(Report.of(LOSSES, baseline=baseline), tmp_path)[0].path)[..., :3]
        apart = image[..., 2] - image[..., 0]
        return int((apart > 0.2).sum()), int((apart < -0.2).sum())

    better, worse = blue("RoPE"), blue("LaMPE")
    assert better[0] > 10_000 > better[1]
    assert worse[1] > 10_000 > worse[0]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="pip install 'lampe\\[plots\\]'"):
        draw(Report.of(LOSSES), tmp_path)
