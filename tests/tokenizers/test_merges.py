"""Merges pair by pair, and the proof that rank alone decides."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lampe.tokenizers.merges import PairMerger, inner_bigrams, provable_ranks

ATOMS = {b"a", b"b", b"c"}


def _naive(parts: list[str], merges: list[tuple[str, str]]) -> list[str]:
    while True:
        pairs = list(pairwise(parts))
        known = [merges.index(pair) for pair in pairs if pair in merges]
        if not known:
            return parts
        at = pairs.index(merges[min(known)])
        parts = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]]


@given(
    merges=st.lists(st.tuples(*[st.sampled_from(["a", "b", "ab", "ba", "aa", "aab", "bab"])] * 2), unique=True),
    text=st.text(alphabet="ab", max_size=30),
)
def test_pairs_are_merged_first_listed_first(merges: list[tuple[str, str]], text: str) -> None:
    assert PairMerger(merges).merge(text) == _naive(list(text), merges)


def test_the_leftmost_of_equals_goes_first() -> None:
    assert PairMerger([("a", "a"), ("aa", "aa")]).merge("aaaaaaa") == ["aaaa", "aa", "a"]


def test_merging_a_long_run_is_not_quadratic() -> None:
    merges = [("a" * 2**n, "a" * 2**n) for n in range(10)]
    merged = PairMerger(merges).merge("a" * 100_003)
    assert merged == ["a" * 1024] * 97 + ["a" * 512, "a" * 128, "a" * 32, "a" * 2, "a"]


def test_merges_as_training_lists_them_have_ranks() -> None:
    merges = [(b"a", b"b"), (b"ab", b"c"), (b"c", b"c"), (b"ab", b"ab")]
    assert provable_ranks(merges, ATOMS, reachable=True) == {b"ab": 0, b"abc": 1, b"cc": 2, b"abab": 3}


def test_every_way_listed_needs_no_order() -> None:
    merges = [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc"), (b"ab", b"c")]
    assert provable_ranks(merges, ATOMS, reachable=True) == {b"ab": 0, b"bc": 1, b"abc": 2}


def test_a_merge_that_never_meets_its_parts_has_no_rank() -> None:
    # "bc" is never there when "abc" could be made of it, but rank alone would join "ab" and "c".
    merges = [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")]
    assert provable_ranks(merges, ATOMS, reachable=False) is None


def test_a_token_that_no_text_becomes_must_not_be_a_whole_pre_token() -> None:
    # The merges leave "abc" as "a" and "bc": "aab", made of "a" and "ab", has parts that are taken apart before.
    merges = [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")]
    assert provable_ranks(merges, ATOMS, reachable=True) is None


def test_merges_of_tokens_that_nothing_makes_are_ignored() -> None:
    assert provable_ranks([(b"x", b"y"), (b"a", b"b"), (b"xy", b"a")], ATOMS, reachable=True) == {b"ab": 0}


def test_inner_bigrams_are_all_a_merge_can_cross() -> None:
    assert inner_bigrams({"abc", "b", "▁▁"}) == {"ab", "bc", "▁▁"}
