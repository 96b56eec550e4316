"""The kernels that torch ships for attention with its log-sum-exp, one for each device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

CPU_GROUPS_HEADS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 9)
"""Whether torch's CPU kernel takes fewer key-value heads than query heads; before 2.9 it reads past their end."""

MAX_FLASH_DIM = 256
"""Head dimension up to which CUDA's flash kernel goes."""


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention by the device's own kernel.

    Args:
        query: [b, h, t, d], rotated.
        key: [b, g, s, d], rotated; h is a multiple of g, and equals g where there is a bias.
        value: [b, g, s, d].
        causal: query i sees the keys up to i; t = s then.
        bias: [t, s] of query's dtype, added to the scores (0 or -inf).

    Returns:
        Output [b, h, t, d] of query's dtype, and log-sum-exp of the scores, fp32 [b, h, t], -inf for a query that sees
        no key (its output is finite).
    """
    kernel = KERNELS.get(query.device.type, plain_attention)
    output, log_sum_exp = kernel(query, key, value, causal, bias)
    if bias is not None:
        # What kernels report of a query whose keys are all masked differs.
        unseen = torch.isneginf(bias).all(dim=-1)
        log_sum_exp = log_sum_exp.masked_fill(unseen, -torch.inf)
        if query.device.type != "cpu":
            output = output.masked_fill(unseen[:, None], 0)
    return output, log_sum_exp


def spread_heads(query: Tensor, *shared: Tensor) -> Iterator[Tensor]:
    """Tensors [b, g, s, d] of key-value heads, each head repeated for the query heads [b, h, t, d] that share it."""
    heads = query.shape[1]
    # Repeating them once would copy.
    return (x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1) for x in shared)


def heads_for_cpu(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Key and value [b, g, s, d] with as many heads as this torch's CPU kernel needs for query's [b, h, t, d]."""
    if CPU_GROUPS_HEADS or query.device.type != "cpu":
        return key, value
    key, value = spread_heads(query, key, value)
    return key, value


def pad_rows(rows: Tensor) -> Tensor:
    """Rows [..., n, d], on a CPU with zeros to a multiple of four.

    Torch's CPU kernel sums the last one to three rows so plainly that 100K keys cost them two digits.
    """
    padding = -rows.shape[-2] % 4 if rows.device.type == "cpu" else 0
    return F.pad(rows, (0, 0, 0, padding)) if padding else rows


def _cpu(query: Tensor, key: Tensor, value: Tensor, causal: bool, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    n_rows = query.shape[2]
    key, value = heads_for_cpu(query, key, value)
    options = {} if bias is None else {"attn_mask": pad_rows(bias)}
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        pad_rows(query), key, value, is_causal=causal, **options
    )
    return (output[:, :, :n_rows], log_sum_exp[:, :, :n_rows]) if n_rows % 4 else (output, log_sum_exp)


def _cuda(query: Tensor, key: Tensor, value: Tensor, causal: bool, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The flash kernel for what it takes; else the memory-efficient one, which has masks and fp32."""
    n_rows, n_keys = query.shape[2], key.shape[2]
    half = query.dtype in (torch.float16, torch.bfloat16)
    if bias is None and half and query.shape[3] % 8 == 0 and query.shape[3] <= MAX_FLASH_DIM:
        output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal)[:2]
        return output, log_sum_exp[:, :, :n_rows]
    if query.dtype == torch.float64 or query.shape[3] % 8:
        return plain_attention(query, key, value, causal, bias)
    if bias is not None:
        # The kernel wants rows of a mask to begin at multiples of 16 bytes.
        bias = F.pad(bias, (0, -n_keys % 16))[:, :n_keys].expand(*query.shape[:3], n_keys)
    # It knows no grouped heads either.
    key, value = spread_heads(query, key, value)
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, bias, True, 0.0, causal
    )[:2]
    return output, log_sum_exp[:, :, :n_rows]


def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, causal: bool = False, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The same in plain operations, for devices without a fused kernel that returns log-sum-exp."""
    grouped = rearrange(query, "b (g n) t d -> b g n t d", g=key.shape[1])
    scores = (grouped @ key[:, :, None].mT).float() * query.shape[-1] ** -0.5
    if causal:
        bias = torch.full(scores.shape[-2:], -torch.inf, device=query.device).triu(1)
    if bias is not None:
        scores = scores + bias
    log_sum_exp = scores.logsumexp(dim=-1)
    weights = (scores - log_sum_exp[..., None].nan_to_num(neginf=0.0)).exp()
    output = weights.to(value.dtype) @ value[:, :, None]
    return rearrange(output, "b g n t d -> b (g n) t d"), rearrange(log_sum_exp, "b g n t -> b (g n) t")


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor, bool, Tensor | None], tuple[Tensor, Tensor]]] = {
    "cpu": _cpu,
    "cuda": _cuda,
}
