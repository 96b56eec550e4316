"""The rows of the matrix: one entry a method, and it gets every property."""

from __future__ import annotations

from hypothesis import strategies as st

from lampe.positional import (
    DCA,
    DPE,
    NTK,
    PI,
    STRING,
    DynamicNTK,
    DynamicYaRN,
    HoPE,
    LaMPE,
    LeakyReRoPE,
    Llama3,
    LMInfinite,
    LongRoPE,
    NoPE,
    NTKByParts,
    PositionalEncoding,
    ReRoPE,
    RoPE,
    SelfExtend,
    StreamingLLM,
    YaRN,
)
from lampe.testing import formulas
from lampe.testing.case import WINDOW, Case

factors = st.floats(1, 32, allow_nan=False)
windows = st.integers(1, 40)
scales = st.sampled_from([1, 2, 4, 8]).flatmap(
    lambda groups: st.lists(st.integers(1, 9), min_size=groups, max_size=groups).map(tuple)
)


def in_window(method: PositionalEncoding, length: int) -> float:
    """The near window of the methods that have one."""
    return float(method.config.window)


def dca_near(method: PositionalEncoding, length: int) -> float:
    """The local window, as long as it does not span two borders of chunks."""
    return float(min(method.config.local, method.config.chunk - method.config.local))


def lampe_near(method: PositionalEncoding, length: int) -> float:
    """The head."""
    return float(method.config.head)


@st.composite
def dca_methods(draw: st.DrawFn) -> PositionalEncoding:
    local = draw(st.integers(1, 20))
    return DCA(chunk=local + draw(st.integers(1, 60)), local=local, grow_temperature=draw(st.booleans()))


@st.composite
def string_methods(draw: st.DrawFn) -> PositionalEncoding:
    local = draw(st.integers(1, 30))
    return STRING(shift=max(2, local + draw(st.integers(0, 50))), local=local)


@st.composite
def lampe_methods(
    draw: st.DrawFn, head: int | None = None, tail: int | None = None, fractional: bool | None = None
) -> PositionalEncoding:
    variant = draw(st.sampled_from(["span", "paper"] if head == 0 else ["span", "paper", "release"]))
    head = draw(st.integers(1, 40)) if head is None else head
    tail = draw(st.integers(0, 60)) if tail is None else tail
    lowest = head + tail + 1 if variant == "paper" else 8
    return LaMPE(
        head=head,
        tail=tail,
        span=draw(st.integers(lowest, lowest + 100)),
        variant=variant,
        fractional=draw(st.booleans()) if fractional is None else fractional,
    )


LONGROPE_EXAMPLE = LongRoPE(short_factor=(1.0,) * 8, long_factor=tuple(1.0 + k for k in range(8)), factor=8)

CASES: dict[str, Case] = {
    "rope": Case(st.just(RoPE()), RoPE(), formulas.true_position, attainable=lambda method: WINDOW),
    "pi": Case(st.builds(PI, factor=factors), PI(factor=4), formulas.true_position),
    "ntk": Case(st.builds(NTK, factor=factors), NTK(factor=4), formulas.true_position),
    "dynamic-ntk": Case(st.builds(DynamicNTK, factor=factors), DynamicNTK(factor=2), formulas.true_position),
    "ntk-by-parts": Case(st.builds(NTKByParts, factor=factors), NTKByParts(factor=4), formulas.true_position),
    "yarn": Case(st.builds(YaRN, factor=factors, truncate=st.booleans()), YaRN(factor=4), formulas.true_position),
    "dynamic-yarn": Case(
        st.builds(DynamicYaRN, factor=factors, truncate=st.booleans()), DynamicYaRN(), formulas.true_position
    ),
    "longrope": Case(
        st.builds(
            LongRoPE,
            short_factor=st.just((1.0,) * 8),
            long_factor=st.lists(factors, min_size=8, max_size=8).map(tuple),
            factor=factors,
        ),
        LONGROPE_EXAMPLE,
        formulas.true_position,
        attainable=lambda method: WINDOW,
    ),
    "llama3": Case(st.builds(Llama3, factor=factors), Llama3(factor=8), formulas.true_position),
    "hope": Case(st.just(HoPE()), HoPE(), formulas.true_position),
    "nope": Case(st.just(NoPE()), NoPE(), formulas.true_position),
    "rerope": Case(st.builds(ReRoPE, window=windows), ReRoPE(window=12), formulas.rerope, in_window),
    "leaky-rerope": Case(
        st.builds(LeakyReRoPE, window=windows, factor=st.integers(4, 64).map(lambda quarters: quarters / 4)),
        LeakyReRoPE(window=12, factor=4),
        formulas.leaky_rerope,
        in_window,
    ),
    "self-extend": Case(
        st.builds(SelfExtend, group=st.integers(1, 12), window=windows),
        SelfExtend(group=4, window=12),
        formulas.self_extend,
        in_window,
    ),
    "dca": Case(dca_methods(), DCA(chunk=45, local=10), formulas.dca, dca_near),
    "string": Case(
        string_methods(),
        STRING(shift=24, local=4),
        formulas.string,
        lambda method, length: float(method.config.shift),
        attainable=lambda method: 2 * WINDOW - method.local,  # type: ignore[attr-defined]
    ),
    "dpe": Case(
        st.builds(DPE, window=windows, scales=scales),
        DPE(window=12, scales=(2, 8, 3, 4)),
        formulas.dpe,
        in_window,
    ),
    "streaming-llm": Case(
        st.builds(StreamingLLM, sinks=st.integers(0, 9), window=windows),
        StreamingLLM(sinks=4, window=24),
        formulas.streaming_llm,
        in_window,
    ),
    "lm-infinite": Case(
        st.builds(LMInfinite, sinks=st.integers(0, 12), window=windows),
        LMInfinite(sinks=5, window=24),
        formulas.lm_infinite,
        in_window,
    ),
    "lampe": Case(lampe_methods(), LaMPE(head=12, tail=20, span=40), formulas.lampe, lampe_near),
    "lampe, no tail": Case(lampe_methods(tail=0), LaMPE(head=12, tail=0, span=40), formulas.lampe, lampe_near),
    "lampe, no head": Case(
        lampe_methods(head=0),
        LaMPE(head=0, tail=20, span=40),
        formulas.lampe,
        lampe_near,
    ),
    "lampe, fractional": Case(
        lampe_methods(fractional=True),
        LaMPE(head=12, tail=20, span=40, fractional=True, log_n=True),
        formulas.lampe,
        lampe_near,
    ),
}
"""Every registered method, and the ablations of LaMPE."""
