"""The matrix has teeth: each property fails on a method or backend that breaks it and little else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Literal

import pytest
import torch
from hypothesis import strategies as st

from lampe.attention import AttentionBackend, BackendConfig, ChunkedAttention, PlanView
from lampe.config import PositionalConfig
from lampe.errors import MissingExtraError
from lampe.positional import Region, RemapConfig, RemapEncoding, RoPE, constant, zero
from lampe.testing import CASES, PROPERTIES, WINDOW, Case, check, check_backend, run
from lampe.testing.matrix import OF_BACKENDS

pytestmark = pytest.mark.slow


class Capped(RemapEncoding):
    """ReRoPE again, with places where it can be broken."""

    class Config(RemapConfig):
        kind: Literal["capped"] = "capped"
        window: int = 12

    overlap = 0

    def regions(self, length: int) -> tuple[Region, ...]:
        w = self.config.window
        far = Region.band("far", w, query_position=constant(w), key_position=zero)
        return Region.band("near", 0, w + self.overlap), far

    def fields_for(self, length: int) -> dict[str, int]:
        return {"window": 30}


def case_of(method: type[Capped], required: Mapping[str, int] = MappingProxyType({}), **fields: object) -> Case:
    case = Case(
        draw=st.builds(partial(method, **required), window=st.integers(1, 40)),
        example=method(**required),
        formula=lambda method, length: lambda i, j: min(i - j, method.config.window),
        near=lambda method, length: method.config.window,
    )
    return replace(case, **fields)


class Overlapping(Capped):
    overlap = 1


class WithAHole(Capped):
    overlap = -1


class TooFar(Capped):
    def reach(self) -> float:
        return WINDOW + 1


class Short(Capped):
    def fields_for(self, length: int) -> dict[str, int]:
        return {"window": WINDOW + 1}


class Stubborn(Capped):
    """Takes the checkpoint's own scaling off without being asked."""

    def frequencies(self, length: int):
        return RoPE().bind(self.rope).frequencies(length)


class Wide(Capped):
    def frequencies(self, length: int):
        inv_freq, temperature = super().frequencies(length)
        return inv_freq.double(), temperature


class Unending(Capped):
    def plan(self, length: int, *, sliding_window: int | None = None):
        return super().plan(max(length, 1), sliding_window=sliding_window)


MUTANTS = {
    "disjoint cover": case_of(Overlapping),
    "disjoint cover (hole)": case_of(WithAHole),
    "formula": case_of(Capped, formula=lambda method, length: lambda i, j: min(i - j, method.config.window + 1)),
    "near is true": case_of(Capped, near=lambda method, length: method.config.window + 2),
    "reach": case_of(TooFar),
    "for_length": case_of(Short),
    "options": case_of(Stubborn),
    "frequencies": case_of(Wide),
    "refusals": case_of(Unending),
}


SAID = {
    "disjoint cover": r"planned for \d+ tokens, query \d+, key \d+: owned by 2 regions, expected 1",
    "disjoint cover (hole)": "owned by 0 regions, expected 1",
    "formula": r"query \d+, key \d+: the plan says \[[\d.]+\], the formula \[[\d.]+\]",
    "near is true": r"position \d+, but `near` promises \d+",
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_method_is_caught(name):
    with pytest.raises(AssertionError, match=SAID.get(name)):
        run(MUTANTS[name], PROPERTIES[name.partition(" (")[0]], examples=30)


def test_the_same_method_unbroken_has_all_properties():
    tried = check(case_of(Capped), properties=[name for name in PROPERTIES if name not in OF_BACKENDS], examples=8)
    assert min(tried.values()) > 0
    with pytest.raises(ValueError, match=r"unknown property 'formla' \(did you mean 'formula'\?\)"):
        check(case_of(Capped), properties=["formla"])


class Needy(Capped):
    """Cannot be made without a width, which `fields_for` would choose as well."""

    class Config(RemapConfig):
        kind: Literal["needy"] = "needy"
        width: int
        window: int = 12

    def fields_for(self, length: int) -> dict[str, int]:
        return {"window": 30, "width": 40}


class NeedyAndShort(Needy):
    def fields_for(self, length: int) -> dict[str, int]:
        return {"window": WINDOW + 1}


def test_a_method_that_cannot_be_made_without_fields_takes_those_of_its_example():
    needy, short = (case_of(method, {"width": 3}) for method in (Needy, NeedyAndShort))
    assert check(needy, properties=["for_length"], examples=8) == {"for_length": 8}
    with pytest.raises(AssertionError):
        check(short, properties=["for_length"], examples=8)


class Mutant(AttentionBackend):
    """`chunked`, but for one thing."""

    class Config(BackendConfig):
        kind: Literal["mutant"] = "mutant"

    def forward(self, query, key, value, view):
        return ChunkedAttention().forward(query, key, value, view)


class Lukewarm(Mutant):
    """Forgets the temperature."""

    def forward(self, query, key, value, view):
        return super().forward(query / view.plan.query_scale(torch.tensor([0])), key, value, view)


class Coarse(Mutant):
    """Loses three bits of bf16, and nothing in fp32."""

    def forward(self, query, key, value, view):
        out = super().forward(query, key, value, view)
        return (out * 16).round() / 16 if out.dtype == torch.bfloat16 else out


class Forgetful(Mutant):
    """Takes stored keys for fresh ones."""

    def forward(self, query, key, value, view):
        fresh = PlanView(view.plan, view.first, view.n_queries, dtype=view.dtype)
        return super().forward(query, key, value, fresh)


class HalfAngles(Mutant):
    """Loses the far positions, as angles in half precision do."""

    def forward(self, query, key, value, view):
        far = view.n_keys > 100000
        return super().forward(query, key + 0.01 * far * key.roll(1, -1), value, view)


class Impatient(Mutant):
    """A single query does not see the first key."""

    def forward(self, query, key, value, view):
        out = super().forward(query, key, value, view)
        return out + 0.01 * value[:, :1, :1] if view.n_queries == 1 and view.n_keys > 1 else out


class Gossip(Mutant):
    """A row depends on how many rows there are."""

    def forward(self, query, key, value, view):
        return super().forward(query, key, value, view) * (1 + 0.01 * (len(query) > 1))


BACKENDS = {
    "fp32": Lukewarm(),
    "bf16": Coarse(),
    "stored keys": Forgetful(),
    "131071": HalfAngles(),
    "decode": Impatient(),
    "decode to 8 N": Impatient(),
    "replan": Forgetful(),
    "batch rows": Gossip(),
    "decode to 131072": Impatient(),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_broken_backend_is_caught(name):
    cases = [replace(CASES["lampe"], draw=st.just(CASES["lampe"].example))]
    with pytest.raises(AssertionError):
        check_backend(BACKENDS[name], cases=cases, properties=[name], examples=30)


def test_a_backend_that_takes_nothing_was_not_tried():
    shy = ChunkedAttention()
    shy.supports = lambda view: False
    with pytest.raises(AssertionError, match="its `supports` takes none of these plans, so nothing was tried"):
        check_backend(shy, cases=[CASES["rope"]], examples=2)
    shy.supports = lambda view: view.n_queries == 130
    tried = check_backend(shy, cases=[CASES["rope"]], properties=["bf16", "stored keys", "131071"], examples=4)
    assert tried == {"bf16": 2, "stored keys": 0, "131071": 0}


class OneEach(RoPE):
    """A divisor for every frequency, which a head of another size needs another number of."""

    class Config(PositionalConfig):
        kind: Literal["one-each"] = "one-each"
        divisors: tuple[float, ...] = (1.0,) * 8

    def frequencies(self, length: int):
        inv_freq, temperature = super().frequencies(length)
        return inv_freq / torch.tensor(self.config.divisors), temperature


def test_fields_of_one_value_a_frequency_follow_the_head():
    divisors = st.lists(st.floats(1, 4), min_size=8, max_size=8).map(tuple)
    case = replace(CASES["rope"], draw=st.builds(OneEach, divisors=divisors), example=OneEach())
    assert check(case, properties=["frequencies"], examples=10) == {"frequencies": 10}


def test_every_property_of_a_backend_has_a_mutant():
    assert set(BACKENDS) == set(OF_BACKENDS)


def test_without_hypothesis(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("lampe.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError) as caught:
        __import__("lampe.testing")
    assert str(caught.value) == "lampe.testing needs hypothesis: pip install 'lampe[testing]'"
