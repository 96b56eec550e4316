"""The shared matrix: one entry a method, and it gets every test that takes `METHODS`.

An entry draws a method with random parameters for a small trained window, and states its published formula for one pair
of tokens in plain Python integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

from lampe.config import RopeConfig
from lampe.positional import (
    NTK,
    PI,
    DynamicNTK,
    LaMPE,
    Llama3,
    LongRoPE,
    PositionalEncoding,
    RoPE,
    YaRN,
)

WINDOW = 64
"""The trained window of the matrix, in tokens."""

ROPE = RopeConfig(theta=10000.0, dim=16, max_position=WINDOW, original_window=WINDOW)

Pairwise = Callable[[int, int], "int | Fraction"]
"""Query i, key j (j <= i) -> relative position."""


@dataclass(frozen=True)
class Entry:
    """A row of the matrix.

    Attributes:
        draw: makes the method with random parameters.
        example: one with fixed parameters, for tests that take one.
        formula: the published relative position, for a method and its planned length N.
    """

    draw: st.SearchStrategy[PositionalEncoding]
    example: PositionalEncoding
    formula: Callable[[PositionalEncoding, int], Pairwise]


def true_position(method: PositionalEncoding, length: int) -> Pairwise:
    return lambda i, j: i - j


def lampe_position(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2508.02308, section 3, with the end of the tail's group found by search instead of by algebra."""
    config = method.config
    h, t, n = config.head, config.tail, length
    numerator, denominator = min(config.span, n - 1), n - 1
    if numerator >= n - 1 or n <= 2 * h or n <= h + t:
        return true_position(method, length)
    if config.variant == "paper":
        numerator, denominator = numerator - h - t, n - h - t

    def g(x: int) -> int | Fraction:
        exact = Fraction(numerator * x, denominator)
        return exact if config.fractional else exact.__floor__()

    b1 = h - g(h) if config.variant != "release" else h - (g(h) + 1)
    reach = t
    while g(reach + 1) == g(t):
        reach += 1
    b2 = (n - 1 - reach) - (g(n - 1 - reach) + b1)

    def position(i: int, j: int) -> int | Fraction:
        d = i - j
        if d < h:
            return d
        return g(i) - g(j) + b1 if t == 0 or d < n - reach else d - b2

    return position


@st.composite
def lampe_methods(draw: st.DrawFn) -> PositionalEncoding:
    head = draw(st.integers(1, 40))
    tail = draw(st.integers(0, 60))
    variant = draw(st.sampled_from(["span", "paper", "release"]))
    lowest = head + tail + 1 if variant == "paper" else 8
    return LaMPE(
        head=head,
        tail=tail,
        span=draw(st.integers(lowest, lowest + 100)),
        variant=variant,
        fractional=draw(st.booleans()),
    )


factors = st.floats(1, 32, allow_nan=False)

METHODS: dict[str, Entry] = {
    "rope": Entry(st.just(RoPE()), RoPE(), true_position),
    "pi": Entry(st.builds(PI, factor=factors), PI(factor=4), true_position),
    "ntk": Entry(st.builds(NTK, factor=factors), NTK(factor=4), true_position),
    "dynamic-ntk": Entry(st.builds(DynamicNTK, factor=factors), DynamicNTK(factor=2), true_position),
    "yarn": Entry(st.builds(YaRN, factor=factors, truncate=st.booleans()), YaRN(factor=4), true_position),
    "llama3": Entry(st.builds(Llama3, factor=factors), Llama3(factor=8), true_position),
    "longrope": Entry(
        st.builds(
            LongRoPE,
            short_factor=st.just((1.0,) * 8),
            long_factor=st.lists(factors, min_size=8, max_size=8).map(tuple),
            factor=factors,
        ),
        LongRoPE(short_factor=(1.0,) * 8, long_factor=tuple(1.0 + k for k in range(8)), factor=8),
        true_position,
    ),
    "lampe": Entry(lampe_methods(), LaMPE(head=12, tail=20, span=40), lampe_position),
    "lampe, no tail": Entry(lampe_methods(), LaMPE(head=12, tail=0, span=40), lampe_position),
    "lampe, fractional": Entry(
        lampe_methods(), LaMPE(head=12, tail=20, span=40, fractional=True, log_n=True), lampe_position
    ),
}
