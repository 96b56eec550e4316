"""Attention of one tile that also returns its log-sum-exp, and the merging of tiles."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def tile_attention(
    query: Tensor, key: Tensor, value: Tensor, *, shape: str = "rectangle", bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention of the queries of a tile over its keys.

    Args:
        query: [b, h, t, d], rotated.
        key: [b, g, s, d], rotated; h is a multiple of g.
        value: [b, g, s, d].
        shape: "rectangle" for all pairs; with t = s "causal" (key <= query) or "anticausal" (key >= query).
        bias: [t, s] of query's dtype, added to the scores of a rectangle (0 or -inf). A query may see no key at all.

    Returns:
        Output [b, h, t, d] of query's dtype, and log-sum-exp of the scores, fp32 [b, h, t], -inf for a query that sees
        no key (its output is finite).
    """
    if shape == "anticausal":
        # Read backwards, the keys at or after a query are those at or before it.
        query, key, value = (x.flip(2) for x in (query, key, value))
        output, log_sum_exp = tile_attention(query, key, value, shape="causal")
        return output.flip(2), log_sum_exp.flip(2)
    if query.device.type != "cpu":
        return _plain(query, key, value, shape, bias)
    if bias is not None:
        output, log_sum_exp = _flash_cpu(query, key, value, attn_mask=bias)
        # The kernel reports 0 for a query whose keys are all masked.
        return output, log_sum_exp.masked_fill(torch.isneginf(bias).all(dim=-1), -torch.inf)
    # Heads that share keys become rows of one query: fewer and larger products, above all for a single token. Rows come
    # in fours, because the kernel sums the last one to three so plainly that 100K keys cost them two digits.
    fold = shape == "rectangle"
    rows = query.reshape(len(query), key.shape[1], -1, query.shape[3]) if fold else query
    n_rows = rows.shape[2]
    output, log_sum_exp = _flash_cpu(F.pad(rows, (0, 0, 0, -n_rows % 4)), key, value, is_causal=shape == "causal")
    return output[:, :, :n_rows].reshape(query.shape), log_sum_exp[:, :, :n_rows].reshape(query.shape[:3])


class Merger:
    """Attention over a union of disjoint tiles, merged in fp32 by their log-sum-exp.

    Args:
        query: [b, h, t, d], what the result looks like.
    """

    def __init__(self, query: Tensor):
        self._like = query
        self._whole: tuple[Tensor, Tensor] | None = None
        self._output: Tensor | None = None  # fp32 [b, h, t, d]
        self._log_sum_exp = query.new_full(query.shape[:3], -torch.inf, dtype=torch.float32)

    def add(self, first: int, last: int, output: Tensor, log_sum_exp: Tensor) -> None:
        """Add a tile of the queries first .. last: output [b, h, last - first, d], log-sum-exp [b, h, last - first]."""
        if self._output is None:
            if self._whole is None and last - first == self._like.shape[2]:
                self._whole = output, log_sum_exp
                return
            self._begin()
        self._merge(first, last, output, log_sum_exp)

    def result(self) -> Tensor:
        """[b, h, t, d], of query's dtype; a query must see a key in at least one tile."""
        if self._output is not None:
            return self._output.to(self._like.dtype)
        if self._whole is None:
            raise ValueError("the plan gives these queries no keys at all")
        return self._whole[0]

    def _begin(self) -> None:
        """Make room for sums; one tile that holds all queries needs none until a second one comes."""
        if self._whole is None:
            self._output = torch.zeros_like(self._like, dtype=torch.float32)
        else:
            self._output, self._log_sum_exp = self._whole[0].float(), self._whole[1]

    def _merge(self, first: int, last: int, output: Tensor, log_sum_exp: Tensor) -> None:
        assert self._output is not None
        old = self._log_sum_exp[:, :, first:last]
        merged = torch.logaddexp(old, log_sum_exp)
        # A query that has seen no key yet has -inf on both sides.
        finite = merged.nan_to_num(neginf=0.0)
        target = self._output[:, :, first:last]
        target.mul_((old - finite).exp()[..., None]).addcmul_(output, (log_sum_exp - finite).exp()[..., None])
        old.copy_(merged)


def _flash_cpu(query: Tensor, key: Tensor, value: Tensor, **options: object) -> tuple[Tensor, Tensor]:
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, **options)
    return output, log_sum_exp


def _plain(query: Tensor, key: Tensor, value: Tensor, shape: str, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same in plain operations, for devices without a fused kernel that returns log-sum-exp."""
    grouped = rearrange(query, "b (g n) t d -> b g n t d", g=key.shape[1])
    scores = (grouped @ key[:, :, None].mT).float() * query.shape[-1] ** -0.5
    if shape == "causal":
        bias = torch.full(scores.shape[-2:], -torch.inf, device=query.device).triu(1)
    if bias is not None:
        scores = scores + bias
    log_sum_exp = scores.logsumexp(dim=-1)
    weights = (scores - log_sum_exp[..., None].nan_to_num(neginf=0.0)).exp()
    output = weights.to(value.dtype) @ value[:, :, None]
    return rearrange(output, "b g n t d -> b (g n) t d"), rearrange(log_sum_exp, "b g n t -> b (g n) t")
