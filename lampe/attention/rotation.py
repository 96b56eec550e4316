"""The rotation of RoPE."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**20
"""Elements that a CPU rotates at once, so that what it reads twice is still in its caches."""


def tables(angles: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines [n, d] of angles [n, d / 2], both times scale, the first half of the sines negated."""
    cos, sin = angles.cos() * scale, angles.sin() * scale
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor | None = None) -> Tensor:
    """RoPE in the rotate-half layout: feature k turns with feature k + d / 2.

    Args:
        x: [..., n, d].
        cos: [n, d], of x's dtype, as `tables` makes them.
        sin: [n, d].
        out: where to write, of x's shape; it may be x itself.

    Returns:
        [..., n, d]
    """
    half = x.shape[-1] // 2
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device) if out is None else out
    if x.device.type != "cpu" or x.numel() <= BLOCK:
        swapped = x.roll(half, dims=-1)
        torch.mul(x, cos, out=out).addcmul_(swapped, sin)
        return out
    count = x.shape[-2]
    step = max(1, BLOCK * count // x.numel())
    for begin in range(0, count, step):
        part = slice(begin, begin + step)
        rotate(x[..., part, :], cos[part], sin[part], out=out[..., part, :])
    return out
