from __future__ import annotations

import pytest
import torch

from lampe.models.transformer import RMSNorm

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def _example(dtype: torch.dtype) -> tuple[RMSNorm, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = RMSNorm(96, 1e-5).to(dtype)
    norm.weight.data = torch.randn(96, generator=generator).to(dtype)
    return norm, (3 * torch.randn(2, 50, 96, generator=generator)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_fused_norm_rounds_as_the_plain_one(dtype):
    norm, x = _example(dtype)
    expected = norm.weight * (x.float() / (x.float().square().mean(-1, keepdim=True) + 1e-5).sqrt()).to(dtype)
    for found in (norm._norm(x), norm._fused(x)):
        # fp32 sums come out otherwise in their last bits, which moves few roundings by one step.
        torch.testing.assert_close(found, expected, rtol=max(torch.finfo(dtype).eps, 1e-6), atol=1e-6)
        assert (found == expected).float().mean() > (0.3 if dtype == torch.float32 else 0.99)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_device_norms_as_the_cpu(dtype):
    norm, x = _example(dtype)
    expected = norm(x)
    found = norm.cuda()(x.cuda()).cpu()
    torch.testing.assert_close(found, expected, rtol=2 * max(torch.finfo(dtype).eps, 1e-6), atol=1e-6)
