from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from lampe.plots import COLOURS, plot_profile, plot_spans
from lampe.plots import profile as pictures
from lampe.positional import Profile
from lampe.positional.profile import Measured, Point, Tried

SPANS = {4096: (4095, False), 12288: (3000, True), 16384: (2000, True)}


def profile(lengths=tuple(SPANS)) -> Profile:
    points = []
    for length in lengths:
        best, mapped = SPANS[length]
        tried = tuple(
            Tried(span=round(best * ratio), loss=2.5 + abs(ratio - 1), error=0.1 if ratio != 1 else 0.0, contexts=3)
            for ratio in (0.5, 0.75, 1.0)
        )
        edge = length == 12288
        points.append(
            Point(
                length=length, span=best, low=tried[1].span, high=best, mapped=mapped, edge=edge, noise=0.1, tried=tried
            )
        )
    measured = Measured(
        model="tiny",
        fingerprint="f",
        window=8192,
        objective={},
        texts=(),
        points=tuple(points),
        fit_error=0.1,
        lampe="0",
    )
    return Profile(a=1e-4, b=-2.0, l_max=6000, short_below=4097, short_span=8192, measured=measured)


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The axes of each picture, with what is on them."""
    kept: list = []

    def keeping(name: str) -> None:
        original = getattr(pictures, name)

        @contextmanager
        def kept_drawing(*arguments, **options):
            with original(*arguments, **options) as found:
                panels = found[1] if name == "drawing" else found
                kept.extend(panels)
                yield found

        monkeypatch.setattr(pictures, name, kept_drawing)

    keeping("drawing")
    keeping("drawing_panels")
    return kept


def test_each_length_has_its_losses_and_its_best_span(drawn, tmp_path: Path):
    path = plot_spans(profile(), tmp_path / "new" / "spans.png", title="Spans")
    assert [file.name for file in path.parent.iterdir()] == ["spans.png"]
    assert len(drawn) == 3
    for axes, (length, (best, _)) in zip(drawn, SPANS.items(), strict=True):
        assert axes.get_title() == f"{length:,} tokens, {length / 8192:.3g} × window"
        losses, marked = axes.lines[0], axes.lines[-1]
        assert list(losses.get_xdata()) == [round(best * ratio) for ratio in (0.5, 0.75, 1.0)]
        assert list(losses.get_ydata()) == pytest.approx([3.0, 2.75, 2.5])
        assert (list(marked.get_xdata()), to_hex(marked.get_color()).upper()) == ([best], COLOURS[1])
        shaded = axes.patches[0].get_extents().transformed(axes.transData.inverted())
        assert shaded.x0 < round(best * 0.75) < best < shaded.x1
        assert shaded.x0 > best * 0.5
    notes = [axes.texts[-1].get_text() for axes in drawn]
    for axes in drawn:
        lowest = min(segment[:, 1].min() for bars in axes.collections for segment in bars.get_segments())
        assert axes.texts[-1].xy[1] == pytest.approx(lowest)
    assert notes == ["true positions", "3,000\nlargest inside\nthe window", "2,000"]


def test_the_curve_goes_where_the_profile_says(drawn, tmp_path: Path):
    own = profile()
    plot_profile(own, tmp_path / "curve.png", title="Curve")
    (axes,) = drawn
    (curve,) = [
        line for line in axes.lines if len(line.get_xdata()) > 2 and to_hex(line.get_color()).upper() == COLOURS[1]
    ]
    for x, y in list(zip(curve.get_xdata(), curve.get_ydata(), strict=True))[::50]:
        assert y == pytest.approx(min(own.span(round(x * 8192)) / 8192, x))
    assert max(curve.get_xdata()) == 4.0
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == [
        (length / 8192, best / 8192) for length, (best, _) in SPANS.items()
    ]
    assert [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in marks] == [True, False, False]
    names = {text.get_text() for text in axes.texts}
    assert {"tiny", "llama2, published", "llama3, published", "mistral, published", "llama3.1, published"} <= names


def test_a_long_name_leaves_the_axes_their_width(drawn, tmp_path: Path):
    own = profile()
    named = own.measured.model_copy(update={"model": "a checkpoint with a name that is much longer than others"})
    for number, kept in enumerate((own, own.model_copy(update={"measured": named}))):
        plot_profile(kept, tmp_path / f"{number}.png")
    short, long = (axes.get_window_extent().width / axes.figure.dpi for axes in drawn)
    assert long > 0.9 * short


def test_one_point_with_one_span_is_drawn(tmp_path: Path):
    own = profile((16384,))
    point = own.measured.points[0]
    single = point.model_copy(update={"tried": (Tried(span=2000, loss=2.5, contexts=1),), "low": 2000})
    bare = own.model_copy(update={"measured": own.measured.model_copy(update={"points": (single,)})})
    assert plot_spans(bare, tmp_path / "spans.png").exists()
    assert plot_profile(bare, tmp_path / "curve.png").exists()


@pytest.mark.parametrize("draw", [plot_spans, plot_profile])
def test_a_curve_alone_has_nothing_to_draw(draw, tmp_path: Path):
    with pytest.raises(ValueError, match="holds a curve alone"):
        draw(Profile.load("llama3"), tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())
