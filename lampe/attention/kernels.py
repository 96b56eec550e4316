"""Attention of one tile, that also returns its log-sum-exp."""

from __future__ import annotations

from math import gcd

import torch
from einops import rearrange, repeat
from torch import Tensor

from lampe.attention.fused import fused_attention

SPLIT_KEYS = 1024
"""Keys of a part from which on it pays to cut them for the threads' sake."""

STRIPS_AT_ONCE = 2**21
"""Elements of the output of strips that one call of the kernel makes: enough work, and memory that is used again."""


def tile_attention(
    query: Tensor, key: Tensor, value: Tensor, *, shape: str = "rectangle", bias: Tensor | None = None, strip: int = 0
) -> tuple[Tensor, Tensor]:
    """Attention of the queries of a tile over its keys.

    Args:
        query: [b, h, t, d], rotated.
        key: [b, g, s, d], rotated; h is a multiple of g.
        value: [b, g, s, d].
        shape: "rectangle" for all pairs; with t = s "causal" (key <= query) or "anticausal" (key >= query); "strips"
            for t / strip rectangles of `strip` queries each, whose keys begin `strip` keys later each time.
        bias: [t, s] of query's dtype, added to the scores of a rectangle (0 or -inf), or [strip, keys] for every
            strip. A query may see no key at all.
        strip: queries of a strip.

    Returns:
        Output [b, h, t, d] of query's dtype, and log-sum-exp of the scores, fp32 [b, h, t], -inf for a query that sees
        no key (its output is finite).
    """
    if shape == "anticausal":
        # Read backwards, the keys at or after a query are those at or before it.
        query, key, value = (x.flip(2) for x in (query, key, value))
        output, log_sum_exp = tile_attention(query, key, value, shape="causal")
        return output.flip(2), log_sum_exp.flip(2)
    if shape == "strips":
        return _strips(query, key, value, bias, strip)
    if shape == "causal":
        return fused_attention(query, key, value, causal=True)
    # Heads that share keys become rows of one query: fewer and larger products, above all for a single token.
    rows = rearrange(query, "b (g n) t d -> b g (n t) d", g=key.shape[1])
    bias = None if bias is None else repeat(bias, "t s -> (n t) s", n=query.shape[1] // key.shape[1])
    output, log_sum_exp = fused_attention(rows, key, value, bias=bias)
    return output.reshape(query.shape), log_sum_exp.reshape(query.shape[:3])


def rows_attention(query: Tensor, key: Tensor, value: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Attention of a few rows [b, g, n, d] over the keys [b, g, s, d], in parts that `merge` makes one.

    A CPU's kernel gives whole heads to its threads. Where these do not come out even, long keys are cut into parts.

    Returns:
        Output [b, g, n, d] and log-sum-exp [b, g, n] over each part of the keys.
    """
    batch, groups, count, _ = key.shape
    threads = torch.get_num_threads()
    n_parts = threads // gcd(batch * groups, threads)
    if key.device.type != "cpu" or n_parts == 1 or count < SPLIT_KEYS * n_parts:
        return [fused_attention(query, key, value)]
    size = count // n_parts
    split = "b g (p s) d -> (b g) p s d"
    keys, values = (rearrange(x[:, :, : size * n_parts], split, p=n_parts) for x in (key, value))
    spread = query.flatten(0, 1)[:, None].expand(-1, n_parts, -1, -1)
    found = fused_attention(spread, keys, values)
    outputs, log_sum_exps = (rearrange(x, "(b g) p ... -> p b g ...", b=batch) for x in found)
    parts = list(zip(outputs, log_sum_exps, strict=True))
    if size * n_parts < count:
        parts.append(fused_attention(query, key[:, :, size * n_parts :], value[:, :, size * n_parts :]))
    return parts


def _strips(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, strip: int) -> tuple[Tensor, Tensor]:
    """Many strips in one call: they are the rows of a batch, whose windows of keys overlap in memory."""
    n_strips, groups = query.shape[2] // strip, key.shape[1]
    width = key.shape[2] - (n_strips - 1) * strip
    ratio = query.shape[1] // groups
    if bias is not None:
        bias = bias.repeat(ratio, 1)
    output = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    log_sum_exp = torch.empty(query.shape[:3], dtype=torch.float32, device=query.device)
    at_once = max(1, STRIPS_AT_ONCE // (query.shape[1] * strip * query.shape[3]))
    to_rows, from_rows = "(g n) (s t) d -> s g (n t) d", "s g (n t) d -> (g n) (s t) d"
    for row in range(len(query)):
        windows = [_windows(x[row], width, strip) for x in (key, value)]
        for begin in range(0, n_strips, at_once):
            end = min(begin + at_once, n_strips)
            part = slice(begin * strip, end * strip)
            rows = rearrange(query[row, :, part], to_rows, g=groups, t=strip)
            found, sums = fused_attention(rows, *(x[begin:end] for x in windows), bias=bias)
            output[row, :, part] = rearrange(found, from_rows, n=ratio)
            log_sum_exp[row, :, part] = rearrange(sums, from_rows.replace(" d", ""), n=ratio)
    return output, log_sum_exp


def _windows(x: Tensor, width: int, step: int) -> Tensor:
    """Overlapping windows of x [g, s, d] as a view [windows, g, width, d]."""
    groups, count, dim = x.shape
    size = ((count - width) // step + 1, groups, width, dim)
    return x.as_strided(size, (step * x.stride(1), *x.stride()))
