"""What the demo says about its numbers. Every word follows from them; none is known beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lampe.evaluation import Record, Summary

HOLDS, COLLAPSES = 1.1, 2.0
"""Perplexity over that inside the window, up to which a method holds and from which it has collapsed."""


def what_it_shows(curves: Summary, found: Summary, window: int) -> Iterator[str]:
    """A line on perplexity and one on passkeys, at the longest length that was reached.

    Args:
        curves: of the task perplexity.
        found: of the task passkey.
        window: the trained window in tokens.
    """
    longest = longest_reached(curves)
    if longest is None:
        yield "No perplexity was reached in the time."
    else:
        yield f"At {longest:,} tokens, {against(longest, window)}, {listed(fates(curves, longest, window))}."
    longest = longest_reached(found)
    if longest is None:
        yield "No passkey was reached in the time."
        return
    parts = [f"Of the passkeys hidden in {longest:,} tokens {listed(finds(found, longest))}"]
    inside = max((n for n in found.lengths if n <= window and n < longest and reached(found, n)), default=None)
    if inside is not None:
        parts.append(f"in {inside:,}, inside the window, {listed(finds(found, inside))}")
    yield "; ".join(parts) + "."


def fates(curves: Summary, length: int, window: int) -> Iterator[str]:
    """What became of each method's perplexity at a length, against the longest length inside the window."""
    for label in curves.labels:
        value = curves.value(label, length)
        if value is None:
            continue
        inside = [(n, v) for n in curves.lengths if n <= window and n < length and (v := curves.value(label, n))]
        if not inside:
            yield f"{label} has perplexity {curves.shown(label, length)}"
            continue
        base, before = inside[-1]
        fate = "holds" if value <= HOLDS * before else "slips" if value < COLLAPSES * before else "collapses"
        yield f"{label} {fate} (perplexity {curves.shown(label, length)}, {curves.shown(label, base)} at {base:,})"


def finds(found: Summary, length: int) -> Iterator[str]:
    """How many keys each method found at a length."""
    for label in found.labels:
        if found.count(label, length):
            yield f"{label} finds {found.shown(label, length).replace('/', ' of ')}"


def missing(
    records: Sequence[Record], methods: int, trials: int, lengths: Sequence[int], cells: Sequence[object]
) -> Iterator[str]:
    """A note when some samples were not reached.

    Args:
        methods: how many there are.
        trials: samples of each figure, had all been reached.
        lengths: at which perplexity was to be measured.
        cells: lengths and depths at which keys were to be hidden.
    """
    wanted = methods * trials * (len(lengths) + len(cells))
    if len(records) < wanted:
        yield (
            f"{len(records)} of {wanted} scores fitted into the time. The last row of a table says how many samples, "
            f"of {trials}, its figures rest on; '-' was not reached. All of them: python -m examples.demo --minutes 0"
        )


def longest_reached(summary: Summary) -> int | None:
    """The longest length at which any method has a figure."""
    return max((length for length in summary.lengths if reached(summary, length)), default=None)


def reached(summary: Summary, length: int) -> bool:
    """Whether any method has a figure at a length."""
    return any(summary.count(label, length) for label in summary.labels)


def against(length: int, window: int) -> str:
    """A length in terms of the trained window."""
    return f"{length / window:.3g} times the trained window" if length > window else "inside the trained window"


def listed(parts: Iterator[str]) -> str:
    """a, b and c."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
