"""Facts and pictures of plans, held against the table of all pairs at lengths where that is small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from lampe.config import RopeConfig
from lampe.errors import ConfigError, MissingExtraError
from lampe.inspection import overview, panels, plan_facts, relative_positions, save_gallery, save_picture
from lampe.inspection.facts import group_positions, rotated_keys, sample_grid
from lampe.inspection.histogram import position_histogram, trained_histogram
from lampe.positional import (
    DCA,
    DPE,
    PI,
    LaMPE,
    Llama3,
    LongRoPE,
    PositionalEncoding,
    PositionPlan,
    Region,
    RoPE,
    SelfExtend,
    StreamingLLM,
    YaRN,
)
from lampe.testing import CASES, ROPE

LONG = RopeConfig(theta=500000.0, dim=128, max_position=8192, original_window=8192)

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


@st.composite
def planned(draw: st.DrawFn) -> tuple[PositionalEncoding, int, int | None]:
    """A method, a length it can plan, and the sliding window of a layer."""
    method = draw(st.sampled_from(sorted(CASES)).flatmap(lambda name: CASES[name].draw)).bind(ROPE)
    length = draw(st.integers(1, 120))
    try:
        method.plan(length)
    except ValueError:
        length = 1
    return method, length, draw(st.none() | st.integers(1, 60))


def largest_of_groups(plan: PositionPlan) -> torch.Tensor:
    """The table of all pairs; where frequency groups differ, the largest position."""
    table = plan.relative_positions().double()
    return table if table.ndim == 2 else table.amax(-1)


@given(planned(), st.data())
def test_chosen_pairs_are_those_of_the_whole_table(
    drawn: tuple[PositionalEncoding, int, int | None], data: st.DataObject
) -> None:
    method, length, window = drawn
    plan = method.plan(length).within(window)
    index = st.lists(st.integers(0, length - 1), min_size=1, max_size=20)
    queries, keys = torch.tensor(data.draw(index)), torch.tensor(data.draw(index))
    positions, owners = relative_positions(plan, queries, keys)
    assert torch.equal(positions, largest_of_groups(plan)[queries][:, keys])
    assert torch.equal(owners >= 0, positions >= 0)
    assert int(owners.max()) < len(plan.regions)


@given(planned())
def test_facts_are_those_of_the_whole_table(drawn: tuple[PositionalEncoding, int, int | None]) -> None:
    method, length, window = drawn
    facts = plan_facts(method, length, sliding_window=window)
    table = largest_of_groups(method.plan(length).within(window))
    attended = table > -0.5  # a fractional position may be a rounding error below 0
    last = table[-1][attended[-1]]
    assert facts.dropped_pairs == int((~attended).tril().sum())
    assert sum(region.pairs for region in facts.regions) == int(attended.sum())
    assert sum(region.share for region in facts.regions) == pytest.approx(
        int(attended.sum()) / (length * (length + 1) / 2)
    )
    assert facts.largest_position == float(table.max())
    assert facts.tokens_reached == int((last < method.position_limit(length)).sum())
    assert facts.distinct_positions == len(set(last.tolist()))
    for region in facts.regions:
        if region.nearest is None:
            continue
        read = table[-1, length - 1 - region.farthest : length - region.nearest]
        assert (region.lowest, region.highest) == (float(read.min()), float(read.max()))


def test_the_largest_of_several_frequency_groups_is_shown() -> None:
    def grouped(index: torch.Tensor) -> torch.Tensor:
        return torch.stack([index, index // 4], dim=1)

    plan = PositionPlan(8, torch.ones(4), (Region("all", query_position=grouped, key_position=grouped),))
    positions, _ = relative_positions(plan, torch.tensor([7]), torch.tensor([0, 3, 7]))
    assert positions.tolist() == [[7, 4, 0]]


def lampe_position(n: int, span: int, head: int, reach: int, distance: int) -> int:
    """The position of a distance from the last query (arXiv 2508.02308, section 3), in exact integers."""

    def g(x: int) -> int:
        return span * x // (n - 1)

    b1 = head - g(head)
    if distance < head:
        return distance
    if distance < n - reach:
        return g(n - 1) - g(n - 1 - distance) + b1
    return distance - ((n - 1 - reach) - (g(n - 1 - reach) + b1))


def test_the_check_values_of_lampe() -> None:
    """N = 32768, U = 4501, h = 1024, t = 200: t' = 203, and the positions at both sides of every border."""
    facts = plan_facts(LaMPE(head=1024, tail=200, span=4501).bind(LONG), 32768)
    assert [(region.name, region.nearest, region.farthest) for region in facts.regions] == [
        ("head", 0, 1023),
        ("middle", 1024, 32564),
        ("tail", 32565, 32767),
    ]
    assert [(region.lowest, region.highest) for region in facts.regions] == [(0, 1023), (1025, 5358), (5358, 5560)]
    assert facts.temperature == pytest.approx(1.069315, abs=1e-6)
    assert facts.regions[0].pairs == 1024 * 32768 - 1024 * 1023 // 2
    assert facts.regions[2].pairs == 203 * 204 // 2
    assert facts.dropped_pairs == 0


def test_128k_tokens() -> None:
    """Every token is reached inside the window, where plain RoPE reaches 8192."""
    n, span, head = 131072, 6204, 512
    facts = plan_facts(LaMPE(head=head, profile="llama3").bind(LONG), n)
    reach = n - facts.regions[2].nearest
    assert facts.largest_position == lampe_position(n, span, head, reach, n - 1)
    assert (facts.tokens_reached, facts.trained_window) == (n, 8192)
    plain = plan_facts(RoPE().bind(LONG), n)
    assert (plain.tokens_reached, plain.largest_position, plain.distinct_positions) == (8192, n - 1, n)


def test_frequencies_are_compared_with_plain_rope() -> None:
    assert plan_facts(RoPE().bind(LONG), 64).frequency_ratio == (1.0,) * 64
    assert plan_facts(PI(factor=4).bind(LONG), 64).frequency_ratio == pytest.approx((0.25,) * 64)
    yarn = plan_facts(YaRN(factor=4).bind(LONG), 64)
    assert yarn.frequency_ratio[0] == 1.0
    assert yarn.frequency_ratio[-1] == pytest.approx(0.25)
    assert yarn.position_limit == 4 * yarn.trained_window


@given(st.integers(1, 10**6), st.integers(2, 600))
def test_a_grid_goes_from_the_first_to_the_last(length: int, size: int) -> None:
    grid = sample_grid(length, size).tolist()
    assert (grid[0], grid[-1], len(grid)) == (0, length - 1, min(length, size))
    assert grid == sorted(set(grid))


@pytest.mark.parametrize("length", [0, -1, 2**24 + 1])
def test_lengths_that_are_refused(length: int) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_facts(RoPE().bind(LONG), length)
    assert str(caught.value) == f"length = {length}: expected 1 to 16777216 tokens"


def drawn_map(method: PositionalEncoding, length: int, window: int | None = None) -> Figure:
    figure = Figure()
    facts = plan_facts(method, length, sliding_window=window)
    panels.draw_map(figure.subplots(), method.plan(length).within(window), facts)
    return figure


def test_the_map_shows_the_table_and_its_borders() -> None:
    method = LaMPE(head=12, tail=20, span=40).bind(ROPE)
    axes = drawn_map(method, 128, 100).axes[0]
    table = method.plan(128).within(100).relative_positions().double()
    dropped, shown = (image.get_array() for image in axes.images)
    assert torch.equal(torch.tensor(dropped.data) == 1, (table < 0).tril())
    assert (shown.mask == (table < 0).numpy()).all()
    assert (shown.data[~shown.mask] == table[table >= 0].numpy()).all()
    assert {text.get_text() for text in axes.texts} >= {"head", "middle"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["not attended"]
    border = next(line for line in axes.lines if line.get_xdata().size and (line.get_xdata() == 116).any())
    assert border.get_ydata()[list(border.get_xdata()).index(116)] == 127.5


def test_red_begins_at_the_end_of_the_trained_window() -> None:
    axes = drawn_map(RoPE().bind(ROPE), 128).axes[0]
    (image,) = axes.images
    rgba = image.to_rgba(image.get_array())
    red = tuple(int(panels.OUTSIDE[k : k + 2], 16) / 255 for k in (1, 3, 5))
    reds = [tuple(pixel[:3]) == pytest.approx(red, abs=1e-3) for pixel in rgba[100]]
    assert reds == [100 - key >= 64 for key in range(128)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["outside the trained window"]


def test_the_curve_is_that_of_the_last_query() -> None:
    method = LaMPE(head=12, tail=20, span=40).bind(ROPE)
    plan = method.plan(128)
    axes = Figure().subplots()
    panels.draw_curve(axes, plan, plan_facts(method, 128))
    curve = next(line for line in axes.lines if line.get_label() == "relative position")
    assert list(curve.get_xdata()) == list(range(128))
    assert list(curve.get_ydata()) == plan.relative_positions()[-1].flip(0).tolist()


def test_borders_are_on_the_curve_of_a_long_input() -> None:
    plan = LaMPE(head=1000, tail=200, span=4501).bind(LONG).plan(32768)
    distances = panels._distances(plan).tolist()
    assert {0, 999, 1000, 32767} <= set(distances)
    assert len(distances) < 2100


def test_every_frequency_group_has_a_curve() -> None:
    plan = DPE(window=8, scales=(2, 4)).bind(ROPE).plan(60)
    curves = group_positions(plan, 59, torch.arange(60))
    assert torch.equal(curves, plan.relative_positions()[-1].double())
    dropped = group_positions(StreamingLLM(sinks=2, window=5).bind(ROPE).plan(20), 19, torch.arange(20))
    assert dropped[:, 0].isnan().tolist() == [2 <= key < 15 for key in range(20)]


@given(planned())
def test_the_histogram_counts_every_pair(drawn: tuple[PositionalEncoding, int, int | None]) -> None:
    method, length, window = drawn
    plan = method.plan(length).within(window)
    table = plan.relative_positions().double()
    used = table[table > -0.5]
    edges = torch.linspace(-0.5, float(table.max()) + 0.5, 9, dtype=torch.float64)
    counted = torch.histogram(used, edges).hist / len(used)
    torch.testing.assert_close(position_histogram(plan, edges), counted, atol=1e-12, rtol=0)


def test_a_trained_window_uses_near_positions_most() -> None:
    edges = torch.tensor([0.0, 16.0, 64.0, 200.0], dtype=torch.float64)
    # Of a window of 64, (64 + 48) / 2 * 16 of 64 * 64 / 2 pairs lie below 16.
    assert trained_histogram(64, edges).tolist() == [896 / 2048, 1152 / 2048, 0]


def test_the_histogram_of_a_long_input_is_cheap_and_adds_up() -> None:
    plan = LaMPE(head=512, span=4501).bind(LONG).plan(32768)
    used = position_histogram(plan, torch.linspace(0, 6000, 65, dtype=torch.float64))
    assert float(used.sum()) == pytest.approx(1)
    # 512 distances of all queries, but for the first ones that have fewer.
    assert float(used[:5].sum()) == pytest.approx(469 * 32768 / (32768 * 32769 / 2), rel=0.05)


def red_share(path: Path) -> float:
    pixels = torch.tensor(imread(path)[..., :3])
    red = torch.tensor([int(panels.OUTSIDE[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return float(((pixels - red).abs().amax(-1) < 0.02).double().mean())


@pytest.mark.slow
def test_the_picture_of_a_method_that_leaves_its_window_is_red(tmp_path: Path) -> None:
    plain = save_picture(RoPE().bind(LONG), 65536, tmp_path / "rope.png")
    mapped = save_picture(LaMPE(head=512, span=4501).bind(LONG), 65536, tmp_path / "lampe.png")
    assert red_share(plain) > 0.1
    assert red_share(mapped) < 0.01
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lampe.png", "rope.png"]


@pytest.mark.slow
def test_the_gallery_draws_what_can_be_drawn_and_says_what_cannot(tmp_path: Path) -> None:
    methods = {name: case.example.bind(ROPE) for name, case in CASES.items()}
    methods["without factors"] = LongRoPE().bind(ROPE)
    save_gallery(methods, 200, tmp_path / "all.png", dpi=40)
    plain = save_gallery({"rope": RoPE().bind(LONG)}, 65536, tmp_path / "rope.png")
    mapped = save_gallery({"lampe": LaMPE(head=512, span=4501).bind(LONG)}, 65536, tmp_path / "lampe.png")
    assert red_share(plain) > 0.01
    assert red_share(mapped) < 0.001
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.png", "lampe.png", "rope.png"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name != "lampe" else []) for name in CASES]
)
def test_every_method_has_a_picture(name: str, tmp_path: Path) -> None:
    path = save_picture(CASES[name].example.bind(ROPE), 200, tmp_path / "map.png", dpi=30)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_keys_that_a_step_rotates() -> None:
    """LaMPE: the keys that leave the head and enter the tail; Self-Extend: the one that leaves the window."""
    assert rotated_keys(LaMPE(head=512, tail=200, span=1536).bind(LONG).plan(16384)) == 2
    assert rotated_keys(SelfExtend().bind(LONG).plan(16384)) == 1
    assert rotated_keys(DCA().bind(LONG).plan(16384)) == 0
    assert rotated_keys(RoPE().bind(LONG).plan(16384)) == 0


def test_an_overview_of_a_checkpoint_that_was_extended() -> None:
    rope = RopeConfig(theta=5e5, dim=128, max_position=131072, original_window=8192, scaling=Llama3.Config())
    about = overview("self-extend", rope)
    assert about.reach == (131072 - 1024) * 8 + 1024
    # The checkpoint's own scaling stays on.
    assert about.changes == ("frequencies", "positions")
    assert overview("llama3", rope).reach == 131072


def test_paths_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        save_picture(RoPE().bind(LONG), 8, tmp_path / "map.jpg")
    assert str(caught.value) == f"picture {tmp_path / 'map.jpg'}: expected a name that ends in .png, .pdf, .svg"
    with pytest.raises(ConfigError) as caught:
        save_picture(RoPE().bind(LONG), 8, tmp_path / "no" / "map.png")
    assert str(caught.value) == f"picture {tmp_path / 'no' / 'map.png'}: there is no folder {tmp_path / 'no'}"


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError) as caught:
        save_picture(RoPE().bind(LONG), 8, tmp_path / "map.png")
    assert str(caught.value) == "a picture needs matplotlib: pip install 'lampe[plots]'"
