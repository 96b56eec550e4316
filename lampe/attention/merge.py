"""Merging tiles by their log-sum-exp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from lampe.attention.blocks import blocks

NO_KEYS = "the plan gives these queries no keys at all"


@dataclass(frozen=True)
class Part:
    """Attention of the queries first .. last over some of their keys.

    Attributes:
        output: [b, h, last - first, d].
        log_sum_exp: fp32 [b, h, last - first].
    """

    first: int
    last: int
    output: Tensor
    log_sum_exp: Tensor

    def rows(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp of some of the queries."""
        part = slice(first - self.first, last - self.first)
        return self.output[:, :, part], self.log_sum_exp[:, :, part]


class Merger:
    """Attention over a union of disjoint tiles, merged in fp32 by their log-sum-exp.

    Args:
        query: [b, h, t, d], what the result looks like.
    """

    def __init__(self, query: Tensor):
        self._like = query
        self._parts: list[Part] = []

    def add(self, first: int, last: int, output: Tensor, log_sum_exp: Tensor) -> None:
        """Add a tile of the queries first .. last: output [b, h, last - first, d], log-sum-exp [b, h, last - first]."""
        self._parts.append(Part(first, last, output, log_sum_exp))

    def result(self) -> Tensor:
        """[b, h, t, d], of query's dtype; a query must see a key in at least one tile."""
        if not self._parts:
            raise ValueError(NO_KEYS)
        n_queries = self._like.shape[2]
        if len(self._parts) == 1 and self._parts[0].last - self._parts[0].first == n_queries:
            return self._parts[0].output
        result = torch.empty(self._like.shape, dtype=self._like.dtype, device=self._like.device)
        for first, last, parts in self._stretches():
            rows = [part.rows(first, last) for part in parts]
            out = result[:, :, first:last]
            if rows:
                out.copy_(merge([output for output, _ in rows], [sums for _, sums in rows]))
            else:
                out.zero_()
        return result

    def _stretches(self) -> Iterator[tuple[int, int, list[Part]]]:
        """Consecutive queries that are in the same parts, at most as many as a block holds."""
        edges = {self._like.shape[2], *(part.start for part in blocks(self._like))}
        edges.update(edge for part in self._parts for edge in (part.first, part.last))
        waiting = sorted(self._parts, key=lambda part: part.first, reverse=True)
        active: list[Part] = []
        for begin, end in pairwise(sorted(edges)):
            active = [part for part in active if part.last > begin]
            while waiting and waiting[-1].first == begin:
                active.append(waiting.pop())
            yield begin, end, active


def merge(outputs: Sequence[Tensor], log_sum_exps: Sequence[Tensor]) -> Tensor:
    """Attention of the same queries over several disjoint sets of keys, made one in fp32.

    Args:
        outputs: [..., d] of each set.
        log_sum_exps: fp32 [...] of each set.

    Returns:
        [..., d] of the outputs' dtype; zeros for a query that sees no key in any set.
    """
    if len(outputs) == 1:
        return outputs[0]
    # Without any key the weights are NaN.
    weights = torch.stack(list(log_sum_exps)).softmax(dim=0).nan_to_num_().unsqueeze(-1)
    total = outputs[0] * weights[0]
    for output, weight in zip(outputs[1:], weights[1:], strict=True):
        total.addcmul_(output, weight)
    return total.to(outputs[0].dtype)
