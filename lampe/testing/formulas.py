"""The published relative positions, pair by pair in plain integers, stated apart from the methods' own code."""

from __future__ import annotations

from fractions import Fraction

from lampe.positional import PositionalEncoding
from lampe.testing.case import Pairwise


def true_position(method: PositionalEncoding, length: int) -> Pairwise:
    """RoPE, and every method that only changes frequencies."""
    return lambda i, j: i - j


def rerope(method: PositionalEncoding, length: int) -> Pairwise:
    """min(d, w)."""
    w = method.config.window
    return lambda i, j: min(i - j, w)


def leaky_rerope(method: PositionalEncoding, length: int) -> Pairwise:
    """d below w, then w + (d - w) / k."""
    w, k = method.config.window, Fraction(method.config.factor)
    return lambda i, j: i - j if i - j < w else w + Fraction(i - j - w) / k


def self_extend(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2401.01325, equation 3 and algorithm 1."""
    w, group = method.config.window, method.config.group
    return lambda i, j: i - j if i - j < w else i // group + w - w // group - j // group


def dca(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2402.17463, equations 2 to 6, by the chunk a and b that query and key are in."""
    longest, c = int(method.config.chunk), int(method.config.chunk - method.config.local)

    def position(i: int, j: int) -> int:
        a, b = i // c, j // c
        if a == b:
            return i % c - j % c
        return (min(i % c + c, longest) if a == b + 1 else min(2 * c - 1, longest)) - j % c

    return position


def string(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2410.18745, section 4: the diagonals from S on are moved back by S - W."""
    shift, local = method.config.shift, method.config.local
    return lambda i, j: i - j if i - j < shift else i - j - shift + local


def dpe(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2504.18857: Self-Extend's formula in every group of frequencies."""
    w, scales = method.config.window, method.config.scales

    def position(i: int, j: int) -> tuple[int, ...]:
        return tuple(i - j if i - j < w else i // s + w - w // s - j // s for s in scales)

    return position


def streaming_llm(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2309.17453, section 3.2: positions count the tokens in the cache."""
    sinks, window = method.config.sinks, method.config.window

    def position(i: int, j: int) -> int | None:
        kept = [k for k in range(i + 1) if k < sinks or i - k < window]
        return kept.index(i) - kept.index(j) if j in kept else None

    return position


def lm_infinite(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2308.16137, section 4: the mask is a lambda, distances have a ceiling."""
    sinks, window = method.config.sinks, method.config.window
    return lambda i, j: min(i - j, window) if j < sinks or i - j < window else None


def lampe(method: PositionalEncoding, length: int) -> Pairwise:
    """arXiv 2508.02308, section 3, with the end of the tail's group found by search instead of by algebra."""
    config = method.config
    h, t, n = int(config.head), int(config.tail), length
    numerator, denominator = min(int(config.span), n - 1), n - 1
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
    if reach > n - h and n <= method.window:
        return true_position(method, length)
    b2 = (n - 1 - reach) - (g(n - 1 - reach) + b1)

    def position(i: int, j: int) -> int | Fraction:
        d = i - j
        if d < h:
            return d
        return g(i) - g(j) + b1 if t == 0 or d < n - reach else d - b2

    return position
