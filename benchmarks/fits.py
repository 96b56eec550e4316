"""How time and memory grow with length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

import torch


def time_fit(seconds: Mapping[int, float]) -> dict[str, float] | None:
    """a N + b N^2 through seconds at lengths N, a and b not negative; None for fewer than two lengths.

    Relative deviations are made small, so that the shortest prompt counts as much as the longest.

    Returns:
        `a` in s, `b` in s, `off`, the largest relative deviation, and `slope`, the exponent of N over the last step.
    """
    if len(seconds) < 2:
        return None
    lengths = sorted(seconds)
    n = torch.tensor(lengths, dtype=torch.float64)
    t = torch.tensor([seconds[length] for length in lengths], dtype=torch.float64)
    (a, b), left = _not_negative(torch.stack([n / t, n**2 / t], dim=1), torch.ones_like(t))
    last, before = lengths[-1], lengths[-2]
    slope = math.log(seconds[last] / seconds[before]) / math.log(last / before)
    return {"a": a, "b": b, "off": float(left.abs().max()), "slope": slope}


def memory_fit(amounts: Mapping[int, float]) -> dict[str, float] | None:
    """c + d N through bytes at lengths N: `c` in bytes, `d` in bytes a token; None for fewer than two lengths."""
    if len(amounts) < 2:
        return None
    n = torch.tensor(list(amounts), dtype=torch.float64)
    above = torch.tensor(list(amounts.values()), dtype=torch.float64)
    spread = n - n.mean()
    d = float((spread * above).sum() / spread.square().sum())
    return {"c": float(above.mean()) - d * float(n.mean()), "d": d}


def _not_negative(columns: torch.Tensor, target: torch.Tensor) -> tuple[list[float], torch.Tensor]:
    """Least squares with factors of 0 or more, and the residuals: the best of all choices of columns that has them."""
    count = columns.shape[1]
    best, residual = [0.0] * count, -target
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            part = columns[:, list(chosen)]
            # Columns differ by orders of magnitude; without their norms the solver takes the small ones for zero.
            norms = part.norm(dim=0)
            factors = torch.linalg.lstsq(part / norms, target[:, None]).solution[:, 0] / norms
            left = part @ factors - target
            if bool((factors >= 0).all()) and left.norm() < residual.norm():
                best, residual = [0.0] * count, left
                for column, factor in zip(chosen, factors.tolist(), strict=True):
                    best[column] = factor
    return best, residual
