from __future__ import annotations

import math

import pytest
import torch
from hypothesis import strategies as st

from examples.ablation.by_parts import LaMPEByParts
from examples.ablation.ideas import IDEAS, registered
from examples.ablation.length_temperature import LaMPELengthTemperature
from examples.ablation.yarn_positions import LaMPEYaRN
from lampe.positional import LaMPE, RoPE, YaRN, create
from lampe.testing import PROPERTIES, ROPE, WINDOW, Case, check, formulas

FIELDS = {"head": st.integers(1, 30), "tail": st.integers(0, 40), "span": st.integers(8, 90)}
EXAMPLE = {"head": 12, "tail": 20, "span": 40}


def plain(method: LaMPE, length: int) -> LaMPE:
    """LaMPE with the numbers of an idea's method."""
    return LaMPE(head=method.config.head, tail=method.config.tail, span=method.span(length)).bind(method.rope)


def mapped(method: LaMPE, length: int):
    return formulas.lampe(plain(method, length), length)


def by_parts(method: LaMPEByParts, length: int):
    """Frequency k turns L theta^(-2k/D) / (2 pi) times in the window."""
    slow = mapped(method, length)
    turns = [WINDOW * 10000 ** (-2 * k / 16) / (2 * math.pi) for k in range(8)]
    fast = [number >= method.config.turns for number in turns]

    def position(i: int, j: int):
        found = tuple(i - j if true else slow(i, j) for true in fast)
        return found if len(set(found)) > 1 else found[0]

    return position


def near(method: LaMPE, length: int) -> float:
    return float(method.config.head)


CASES = {
    "yarn": Case(st.builds(LaMPEYaRN, factor=st.floats(1, 4), **FIELDS), LaMPEYaRN(factor=2, **EXAMPLE), mapped, near),
    "by parts": Case(
        st.builds(LaMPEByParts, turns=st.floats(0.1, 12), **FIELDS), LaMPEByParts(turns=2, **EXAMPLE), by_parts, near
    ),
    "temperature": Case(
        st.builds(LaMPELengthTemperature, strength=st.floats(0, 0.5), **FIELDS),
        LaMPELengthTemperature(**EXAMPLE),
        mapped,
        near,
    ),
}


# What the one does to frequencies, and the other to the positions of fast ones, is what these two rule out.
BESIDES = {"yarn": {"options"}, "by parts": {"reach"}, "temperature": set()}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_shared_matrix_holds(name):
    assert min(check(CASES[name], properties=set(PROPERTIES) - BESIDES[name], examples=5).values()) > 0


def test_fast_frequencies_have_true_positions_and_slow_ones_those_of_lampe():
    method = LaMPEByParts(turns=1, **EXAMPLE).bind(ROPE)
    # Turns in 64 tokens: 10.2, 3.2, 1.02, then fewer than one.
    assert method.kept == 3
    table = method.plan(300).relative_positions()
    assert torch.equal(table[..., :3], RoPE().bind(ROPE).plan(300).relative_positions()[..., None].expand(-1, -1, 3))
    slow = LaMPE(**EXAMPLE).bind(ROPE).plan(300).relative_positions()
    assert torch.equal(table[..., 3:], slow[..., None].expand(-1, -1, 5))
    assert method.largest_position(300) == LaMPE(**EXAMPLE).bind(ROPE).largest_position(300)


def test_none_or_all_of_the_frequencies():
    none, everything = (LaMPEByParts(turns=turns, **EXAMPLE).bind(ROPE) for turns in (100, 1e-9))
    assert (none.kept, everything.kept) == (0, 8)
    assert torch.equal(none.plan(300).relative_positions(), LaMPE(**EXAMPLE).bind(ROPE).plan(300).relative_positions())
    assert everything.plan(300).is_causal


def test_yarn_and_lampe_share_the_extension():
    method = LaMPEYaRN(**EXAMPLE).bind(ROPE)
    assert (method.factor(WINDOW), method.factor(4 * WINDOW), method.span(4 * WINDOW)) == (1.0, 2.0, 80)
    plan = method.plan(4 * WINDOW)
    assert torch.equal(plan.inv_freq, YaRN(factor=2).bind(ROPE).plan(4 * WINDOW).inv_freq)
    assert plan.temperature == pytest.approx(1.069315, abs=1e-6)
    assert method.position_limit(4 * WINDOW) == 2 * WINDOW
    same = LaMPEYaRN(factor=1, **EXAMPLE).bind(ROPE).plan(300)
    other = LaMPE(**EXAMPLE).bind(ROPE).plan(300)
    assert torch.equal(same.relative_positions(), other.relative_positions())
    assert torch.allclose(same.inv_freq, other.inv_freq)


def test_the_temperature_follows_the_length():
    method = LaMPELengthTemperature(**EXAMPLE).bind(ROPE)
    found = [method.plan(n * WINDOW).temperature for n in (1, 2, 4)]
    assert found == pytest.approx([1.0, 1 + 0.1 * math.log(2), 1 + 0.1 * math.log(4)])
    assert LaMPELengthTemperature(temperature=1.2, **EXAMPLE).bind(ROPE).plan(200).temperature == 1.2


def test_they_are_known_by_name_only_where_they_are_asked_for():
    with registered():
        made = [create({"kind": name, "span": 40}, ROPE) for name in IDEAS]
        assert [type(method) for method in made] == [cls for cls, _ in IDEAS.values()]
    for name in IDEAS:
        with pytest.raises(LookupError):
            create(name, ROPE)
