"""The rotation of RoPE."""

from __future__ import annotations

import torch
from torch import Tensor

from lampe.attention.blocks import BLOCK, blocks


def tables(angles: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines [n, d] of angles [n, d / 2], both times scale, the first half of the sines negated."""
    cos, sin = angles.cos() * scale, angles.sin() * scale
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor | None = None) -> Tensor:
    """RoPE in the rotate-half layout: feature k turns with feature k + d / 2.

    Args:
        x: [..., n, d].
        cos: [..., n, d], of x's dtype, as `tables` makes them; n and what stands before it may be 1 for all.
        sin: [..., n, d].
        out: where to write, of x's shape; it may be x itself.

    Returns:
        [..., n, d]
    """
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device) if out is None else out
    if x.numel() <= BLOCK:
        return _rotate(x, cos, sin, out)
    cos, sin = (table.expand(*table.shape[:-2], *x.shape[-2:]) for table in (cos, sin))
    for part in blocks(x):
        _rotate(x[..., part, :], cos[..., part, :], sin[..., part, :], out[..., part, :])
    return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> Tensor:
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.mul(x, cos, out=out).addcmul_(swapped, sin)
