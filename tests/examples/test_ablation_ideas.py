from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import strategies as st

from examples.ablation.by_parts import LaMPEByParts
from examples.ablation.ideas import IDEAS, register, registered
from examples.ablation.length_temperature import LaMPELengthTemperature
from examples.ablation.yarn_positions import LaMPEYaRN
from lampe.errors import ConfigError
from lampe.positional import LaMPE, Llama3, PositionWarning, RoPE, YaRN, create, registry
from lampe.positional.base import GENTLE_TEMPERATURE
from lampe.testing import PROPERTIES, ROPE, WINDOW, Case, check, formulas
from lampe.testing.case import Pairwise

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

EXAMPLE = {"head": 12, "tail": 20, "span": 40}

SMOLLM2 = ROPE.model_copy(update={"theta": 1e5, "dim": 64, "max_position": 8192, "original_window": 8192})


@st.composite
def drawn(draw: st.DrawFn, cls: type[LaMPE], **own: st.SearchStrategy) -> LaMPE:
    """An idea with LaMPE's fields at random; spans as long as the edges, for which every length can be mapped."""
    head, tail = draw(st.integers(1, 24)), draw(st.integers(0, 24))
    return cls(
        head=head,
        tail=tail,
        span=head + tail + draw(st.integers(1, 60)),
        variant=draw(st.sampled_from(["span", "paper", "release"])),
        fractional=draw(st.booleans()),
        **{name: draw(strategy) for name, strategy in own.items()},
    )


def lampe(method: LaMPE, length: int, stretch: float = 1) -> Pairwise:
    """The formula of arXiv 2508.02308 for a span of round(stretch U)."""
    names = ("head", "tail", "variant", "fractional")
    fields = {name: getattr(method.config, name) for name in names}
    return formulas.lampe(LaMPE(span=round(stretch * method.config.span), **fields), length)


def with_yarn(method: LaMPE, length: int) -> Pairwise:
    """s is the root of N / L where it is not given."""
    given = method.config.factor
    return lampe(method, length, max(1, length / WINDOW) ** 0.5 if given is None else given)


def by_parts(method: LaMPE, length: int) -> Pairwise:
    """Frequency k turns L theta^(-2k/D) / (2 pi) times in the window."""
    slow = lampe(method, length)
    fast = [WINDOW * 10000 ** (-2 * k / 16) / (2 * math.pi) >= method.config.turns for k in range(8)]

    def position(i: int, j: int):
        found = tuple(i - j if true else slow(i, j) for true in fast)
        return found if len(set(found)) > 1 else found[0]

    return position


def near(method: LaMPE, length: int) -> float:
    return float(method.config.head)


CASES = {
    "yarn": Case(drawn(LaMPEYaRN, factor=st.none() | st.floats(1, 4)), LaMPEYaRN(factor=2, **EXAMPLE), with_yarn, near),
    # Without a factor, frequencies are the checkpoint's, as options demand.
    "yarn, s = 1": Case(drawn(LaMPEYaRN, factor=st.just(1.0)), LaMPEYaRN(factor=1, **EXAMPLE), with_yarn, near),
    # Turns in 64 tokens: 10.2, 3.2, 1.02, 0.32 and on to 0.003; so all, 4, 3, 2, 1 and none are kept.
    "by parts": Case(
        drawn(LaMPEByParts, turns=st.sampled_from([0.001, 0.2, 1, 2, 8, 32])),
        LaMPEByParts(turns=2, **EXAMPLE),
        by_parts,
        near,
    ),
    "temperature": Case(
        drawn(LaMPELengthTemperature, strength=st.floats(0, 0.5)), LaMPELengthTemperature(**EXAMPLE), lampe, near
    ),
}

# Only of s = 1 may the frequencies be the checkpoint's, and only it is held to that.
EXCEPT = {"yarn": {"options"}}
LARGE = {name for name, column in PROPERTIES.items() if column.fixed}


@pytest.mark.parametrize("name", CASES)
def test_the_shared_matrix_holds(name):
    tried = check(CASES[name], properties=PROPERTIES.keys() - LARGE - EXCEPT.get(name, set()), examples=5)
    assert min(tried.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_shared_matrix_holds_on_many_plans_and_at_131072_tokens(name):
    tried = check(CASES[name], properties=PROPERTIES.keys() - EXCEPT.get(name, set()), examples=20)
    assert min(tried.values()) > 0


def test_fast_frequencies_have_true_positions_and_slow_ones_those_of_lampe():
    method = LaMPEByParts(turns=1, **EXAMPLE).bind(ROPE)
    # Turns in 64 tokens: 10.2, 3.2, 1.02, then fewer than one.
    assert method.kept == (True,) * 3 + (False,) * 5
    plan, lampe = method.plan(300), LaMPE(**EXAMPLE).bind(ROPE).plan(300)
    table = plan.relative_positions()
    assert table.dtype == torch.int64
    assert torch.equal(table[..., :3], RoPE().bind(ROPE).plan(300).relative_positions()[..., None].expand(-1, -1, 3))
    assert torch.equal(table[..., 3:], lampe.relative_positions()[..., None].expand(-1, -1, 5))
    assert torch.equal(plan.inv_freq, lampe.inv_freq)


def test_regions_by_parts_share_their_keys_as_those_of_lampe_do():
    """A cache rotates keys anew where coordinates differ: no oftener than for LaMPE."""
    head, middle, tail = LaMPEByParts(turns=1, **EXAMPLE).bind(ROPE).regions(300)
    again = LaMPEByParts(turns=1, **EXAMPLE).bind(ROPE).regions(300)[1]
    assert head.key_position == tail.key_position != middle.key_position == again.key_position


def test_none_or_all_of_the_frequencies():
    none, everything = (LaMPEByParts(turns=turns, **EXAMPLE).bind(ROPE) for turns in (100, 1e-9))
    assert (any(none.kept), all(everything.kept)) == (False, True)
    lampe = LaMPE(**EXAMPLE).bind(ROPE)
    assert torch.equal(none.plan(300).relative_positions(), lampe.plan(300).relative_positions())
    assert (none.reach(), none.largest_position(300)) == (lampe.reach(), lampe.largest_position(300))
    plan = everything.plan(300)
    assert plan.regions == RoPE().bind(ROPE).plan(300).regions
    assert (everything.reach(), everything.largest_position(300)) == (math.inf, 0)
    # A span too coarse for LaMPE does not matter where nothing is mapped.
    assert LaMPEByParts(head=5, tail=58, span=8, turns=1e-9).bind(ROPE).plan(64).regions == plan.regions


def test_the_trained_window_is_that_of_the_mapped_frequencies():
    """U = 30: 30 + (1 - 30 / (N - 1)) 16 approaches 46 and a group, inside 64; fast frequencies are at N - 1."""
    method = LaMPEByParts(head=8, tail=8, span=30, turns=1).bind(ROPE)
    lampe = LaMPE(head=8, tail=8, span=30).bind(ROPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = method.plan(300)
    assert (plan.largest_position(), method.position_limit(300)) == (299, math.inf)
    assert method.largest_position(300) == lampe.largest_position(300) < WINDOW
    assert method.reach() == lampe.reach() > 300
    far = LaMPEByParts(head=8, tail=8, span=60, turns=1).bind(ROPE)
    largest = LaMPE(head=8, tail=8, span=60).bind(ROPE).largest_position(300)
    assert far.position_limit(300) == WINDOW <= largest < 299
    with warnings.catch_warnings():
        # Layers that see 64 tokens use none of the positions outside.
        warnings.simplefilter("error")
        far.plan(300, sliding_window=WINDOW)
    with pytest.warns(PositionWarning, match=f"reach relative position {largest:.0f} in the mapped frequencies"):
        far.plan(300)


def test_reach_by_parts_where_the_span_is_too_small_for_the_paper():
    """The profile's span is below head + tail: what LaMPE cannot map is beyond its reach."""
    fields = {"variant": "paper", "head": 40, "tail": 30, "profile": "default"}
    assert LaMPEByParts(turns=1, **fields).bind(ROPE).reach() == LaMPE(**fields).bind(ROPE).reach() == WINDOW


@pytest.mark.parametrize(("turns", "kept"), [(32, 11), (8, 15), (1, 20)])
def test_what_each_cut_keeps_of_smollm2(turns, kept):
    """1303.8 turns of the first, 10^(5/32) times fewer of each next one: 32/5 log10(1303.8 / turns), rounded up."""
    assert sum(LaMPEByParts(turns=turns).bind(SMOLLM2).kept) == kept


def test_yarn_and_lampe_share_the_extension():
    method = LaMPEYaRN(**EXAMPLE).bind(ROPE)
    assert (method.factor(WINDOW), method.factor(4 * WINDOW), method.span(4 * WINDOW)) == (1.0, 2.0, 80)
    plan = method.plan(4 * WINDOW)
    assert torch.equal(plan.inv_freq, YaRN(factor=2).bind(ROPE).plan(4 * WINDOW).inv_freq)
    assert torch.equal(plan.inv_freq, LaMPEYaRN(factor=2, **EXAMPLE).bind(ROPE).plan(100).inv_freq)
    assert plan.temperature == GENTLE_TEMPERATURE
    assert method.position_limit(4 * WINDOW) == 2 * WINDOW


def test_the_grown_span_is_that_of_the_profile_too():
    """At 16,384 tokens: 6204.4 / (1 + exp(2.4666 - 1.7192)) = 1993.9, down to 1993; 1993 sqrt(2) = 2818.5."""
    assert [cls(profile="llama3").bind(SMOLLM2).span(16384) for cls in (LaMPE, LaMPEYaRN)] == [1993, 2819]


def test_yarn_with_factor_one_is_lampe():
    same, other = (cls(**EXAMPLE, **own).bind(ROPE).plan(300) for cls, own in ((LaMPEYaRN, {"factor": 1}), (LaMPE, {})))
    assert torch.equal(same.relative_positions(), other.relative_positions())
    assert same.temperature == other.temperature
    # To the last bit, which YaRN's mix of 32 frequencies does not keep.
    assert torch.equal(LaMPEYaRN(factor=1).bind(SMOLLM2).frequencies(1)[0], RoPE().bind(SMOLLM2).frequencies(1)[0])


def test_yarn_scales_what_the_checkpoint_has_scaled():
    """A fourth by the checkpoint, and of that a half by YaRN; 3/4 of the way along the ramp of the extended window."""
    scaled = ROPE.model_copy(update={"scaling": Llama3.Config(factor=4), "max_position": 4 * WINDOW})
    method = LaMPEYaRN(factor=2, **EXAMPLE).bind(scaled)
    assert method.position_limit(300) == 8 * WINDOW
    # The ramp goes from 0 to 4: 16 ln(256 / 2 pi) / (2 ln 10^4) = 3.22, and for 32 turns 0.21.
    scale = method.plan(300).inv_freq / RoPE().bind(ROPE).plan(300).inv_freq
    assert scale[[0, 3, 4, 7]].tolist() == pytest.approx([1, 0.25 * (0.75 / 2 + 0.25), 0.125, 0.125])


def test_the_temperature_follows_the_length():
    method = LaMPELengthTemperature(**EXAMPLE).bind(ROPE)
    found = [method.plan(length).temperature for length in (1, WINDOW, 2 * WINDOW, 4 * WINDOW)]
    assert found == pytest.approx([1, 1, 1.0693147, 1.1386294], abs=1e-7)
    assert LaMPELengthTemperature(strength=0, **EXAMPLE).bind(ROPE).plan(300).temperature == 1
    assert LaMPELengthTemperature(temperature=1.2, **EXAMPLE).bind(ROPE).plan(200).temperature == 1.2


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [(LaMPEYaRN, "factor", 0.5), (LaMPEByParts, "turns", 0), (LaMPELengthTemperature, "strength", -0.1)],
)
def test_fields_are_checked_as_those_of_lampe_are(cls, field, value):
    with pytest.raises(ConfigError, match=f"{field} = {value}"):
        cls(**{field: value})
    with pytest.raises(ConfigError, match="variant 'release' needs head >= 1"):
        cls(variant="release", head=0)


def test_they_are_known_by_name_only_where_they_are_asked_for():
    before = registry.names()
    with registered():
        made = [create({"kind": name, "span": 40}, ROPE) for name in IDEAS]
        assert [type(method) for method in made] == list(IDEAS.values())
        # Registered already: nothing changes.
        register()
        assert len(registry.names()) == len(before) + len(IDEAS)
    assert registry.names() == before
