"""Byte-pair merges: carried out as they are listed, or proven to be a matter of rank."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, TypeVar

Token = TypeVar("Token", bytes, str)
Pair = tuple[Token, Token]


class PairMerger(Generic[Token]):
    """Joins the pair of neighbours that is listed first, of equals the leftmost, until none is listed.

    This is what Hugging Face's BPE does, in time n log n.
    """

    def __init__(self, merges: Iterable[Pair[Token]]):
        """Args:
        merges: pairs of tokens, the most urgent first, none twice.
        """
        self._rank: dict[Pair[Token], int] = {pair: rank for rank, pair in enumerate(merges)}

    def merge(self, parts: Iterable[Token]) -> list[Token]:
        """Join what can be joined; the tokens concatenate to what the parts did."""
        tokens = list(parts)
        end: int = len(tokens)
        after = [*range(1, end + 1)]
        before = [*range(-1, end - 1)]
        waiting = [entry for at in range(end) if (entry := self._entry(tokens, at, after[at]))]
        heapq.heapify(waiting)
        while waiting:
            rank, at = heapq.heappop(waiting)
            right = after[at]
            if self._entry(tokens, at, right) != (rank, at):
                continue
            tokens[at] = tokens[at] + tokens[right]
            after[at], after[right] = after[right], end
            if after[at] < end:
                before[after[at]] = at
            for left in (before[at], at):
                if left >= 0 and (entry := self._entry(tokens, left, after[left])):
                    heapq.heappush(waiting, entry)
        at = 0
        merged = []
        while at < end:
            merged.append(tokens[at])
            at = after[at]
        return merged

    def _entry(self, tokens: Sequence[Token], at: int, right: int) -> tuple[int, int] | None:
        rank = self._rank.get((tokens[at], tokens[right])) if right < len(tokens) else None
        return None if rank is None else (rank, at)


def provable_ranks(
    merges: Sequence[Pair[bytes]], atoms: Collection[bytes], *, reachable: bool
) -> dict[bytes, int] | None:
    """The rank of every merged token, if merging by rank is sure to give what the list of merges gives.

    tiktoken knows no pairs: it joins the two neighbours whose concatenation has the lowest rank. That is the same on
    every text if each merged token t is one of

    - regular: merges ranked below t turn the bytes of t into exactly a pair that is listed for t. Then that pair is
      the only one in which the bytes of t can stand side by side when it is t's turn, whatever is around them;
    - closed: every way to cut t into two tokens is listed, all at t's place in the list.

    Args:
        merges: pairs of tokens, the most urgent first, none twice.
        atoms: the single bytes that have a token.
        reachable: also demand that each token, standing alone, merges into itself; tiktoken makes one token of a
            pre-token that is in the vocabulary, by whatever merges.

    Returns:
        The ranks, 0 for the first token made, or None if there is no proof.
    """
    order = _MergeOrder(_live(merges, atoms), atoms)
    return order.ranks if all(order.prove(token, reachable) for token in order.ranks) else None


class _MergeOrder:
    def __init__(self, merges: Iterable[Pair[bytes]], atoms: Collection[bytes]):
        self.atoms = atoms
        self.pairs: dict[bytes, list[Pair[bytes]]] = {}
        previous: bytes | None = None
        for pair in merges:
            token = pair[0] + pair[1]
            if token not in self.pairs:
                self.pairs[token] = [pair]
            elif token == previous:
                # A pair that stands further down than this is of no use to a regular token, and makes none closed.
                self.pairs[token].append(pair)
            previous = token
        self.ranks: dict[bytes, int] = {token: rank for rank, token in enumerate(self.pairs)}
        self.parents: dict[bytes, Pair[bytes]] = {}

    def prove(self, token: bytes, reachable: bool) -> bool:
        """Check one token; those of lower rank must have been checked before."""
        rank = self.ranks[token]
        for pair in self.pairs[token]:
            if self._stays_apart(*pair, rank):
                self.parents[token] = pair
                return True
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = {pair for pair in cuts if all(part in self.ranks or part in self.atoms for part in pair)}
        return not reachable and known == set(self.pairs[token])

    def _stays_apart(self, left: bytes, right: bytes, limit: int) -> bool:
        """Whether merges ranked below `limit` leave the cut between two regular tokens alone.

        Undoes the latest merge at the cut again and again, and looks whether the parts that then touch would have
        been joined across it; a merge left of the cut goes before one of the same rank at the cut, one right of it
        after.
        """
        ranks, parents = self.ranks, self.parents
        while True:
            across = ranks.get(left + right)
            if across is not None and across < limit:
                return False
            left_rank, right_rank = ranks.get(left, -1), ranks.get(right, -1)
            if left_rank > right_rank:
                if left not in parents:
                    return False
                limit, left = left_rank, parents[left][1]
            elif right_rank >= 0:
                if right not in parents:
                    return False
                limit, right = right_rank + 1, parents[right][0]
            else:
                return True


def _live(merges: Sequence[Pair[bytes]], atoms: Collection[bytes]) -> Sequence[Pair[bytes]]:
    """The merges whose two parts can come up at all."""
    made = set(atoms)
    waiting = merges
    while waiting:
        still = []
        for pair in waiting:
            if pair[0] in made and pair[1] in made:
                made.add(pair[0] + pair[1])
            else:
                still.append(pair)
        if len(still) == len(waiting):
            return [pair for pair in merges if pair[0] in made and pair[1] in made]
        waiting = still
    return merges


def inner_bigrams(tokens: Iterable[str]) -> set[str]:
    """Every two characters that stand side by side within a token; merges can cross no other boundary."""
    return {token[at : at + 2] for token in tokens for at in range(len(token) - 1)}
