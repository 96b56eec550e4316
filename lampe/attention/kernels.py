"""Attention of one tile that also returns its log-sum-exp, so that tiles can be merged."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def tile_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attention of every query over every key of a tile.

    Args:
        query: [b, h, t, d], rotated.
        key: [b, g, s, d], rotated; h is a multiple of g.
        value: [b, g, s, d].
        bias: [t, s] of query's dtype, added to the scores (0 or -inf), or None. A query may see no key at all.

    Returns:
        Output [b, h, t, d] of query's dtype, and log-sum-exp of the scores, fp32 [b, h, t], -inf for a query that sees
        no key (its output is finite).
    """
    if query.device.type != "cpu":
        return _plain(query, key, value, bias)
    if bias is None:
        # Heads that share keys become rows of one query: fewer and larger products, above all for a single token. In
        # fours, because the kernel sums the last one to three rows so plainly that 100K keys cost them two digits.
        rows = query.reshape(len(query), key.shape[1], -1, query.shape[3])
        n_rows = rows.shape[2]
        output, log_sum_exp = _flash_cpu(F.pad(rows, (0, 0, 0, -n_rows % 4)), key, value, None)
        return output[:, :, :n_rows].reshape(query.shape), log_sum_exp[:, :, :n_rows].reshape(query.shape[:3])
    output, log_sum_exp = _flash_cpu(query, key, value, bias)
    # The kernel reports 0 for a query whose keys are all masked.
    return output, log_sum_exp.masked_fill(torch.isneginf(bias).all(dim=-1), -torch.inf)


def merge_tiles(tiles: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Attention over the union of disjoint tiles, merged in fp32 by their log-sum-exp.

    Args:
        tiles: (output [b, h, t, d], log-sum-exp [b, h, t]) of each; every query sees a key in at least one.

    Returns:
        [b, h, t, d], of the outputs' dtype.
    """
    if len(tiles) == 1:
        return tiles[0][0]
    dtype = tiles[0][0].dtype
    log_sum_exps = torch.stack([log_sum_exp for _, log_sum_exp in tiles])
    weights = log_sum_exps.softmax(dim=0)[..., None]  # [tiles, b, h, t, 1]
    merged = tiles[0][0] * weights[0]
    for (output, _), weight in zip(tiles[1:], weights[1:], strict=True):
        merged.addcmul_(output, weight)
    return merged.to(dtype)


def _flash_cpu(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, log_sum_exp = flash(query, key, value, 0.0, False, attn_mask=bias)
    return output, log_sum_exp


def _plain(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    grouped = rearrange(query, "b (g n) t d -> b g n t d", g=key.shape[1])
    scores = (grouped @ key[:, :, None].mT).float() * query.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    log_sum_exp = scores.logsumexp(dim=-1)
    weights = (scores - log_sum_exp[..., None].nan_to_num(neginf=0.0)).exp()
    output = weights.to(value.dtype) @ value[:, :, None]
    return rearrange(output, "b g n t d -> b (g n) t d"), rearrange(log_sum_exp, "b g n t -> b (g n) t")
