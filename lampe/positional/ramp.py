"""The ramp over frequencies that YaRN and NTK-by-parts mix along."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lampe.config import RopeConfig


def ramp_ends(rope: RopeConfig, window: int, fast: float, slow: float, *, truncate: bool = True) -> tuple[float, float]:
    """The indices of the frequencies that make `fast` and `slow` full turns in the trained window.

    Args:
        window: L in tokens.
        fast: turns at which the ramp begins.
        slow: turns at which it ends.
        truncate: round the ends outwards to whole frequencies.
    """
    low, high = (
        rope.dim * math.log(window / (turns * 2 * math.pi)) / (2 * math.log(rope.theta)) for turns in (fast, slow)
    )
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dim - 1)
    return low, high + 0.001 if low == high else high


def ramp(low: float, high: float, count: int) -> Tensor:
    """0 up to index `low`, 1 from `high` on, linear between, fp32 [count]."""
    return ((torch.arange(count, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
