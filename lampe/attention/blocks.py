"""Working through a large tensor by parts that stay in a CPU's caches."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

BLOCK = 2**20
"""Elements of a part: what is written in one pass is still near when the next one reads it."""


def blocks(x: Tensor, dim: int = -2) -> Iterator[slice]:
    """Slices of a dimension of x, each of at most `BLOCK` elements on a CPU; elsewhere one for all."""
    count = x.shape[dim]
    step = max(1, count if x.device.type != "cpu" else BLOCK * count // max(x.numel(), 1))
    for begin in range(0, count, step):
        yield slice(begin, min(begin + step, count))
