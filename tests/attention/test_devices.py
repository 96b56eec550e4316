"""Other devices than the CPU: the same numbers where there is one, and calls that fit its kernels in any case."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from lampe.attention import ChunkedAttention, DenseAttention, fused
from lampe.attention.kernels import rows_attention, tile_attention
from lampe.generation import Engine
from lampe.testing import CASES, ROPE
from lampe.testing.attention import inputs
from lampe.testing.decoding import in_pieces, small_model, tokens

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")

DEVICES = [
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-3), (torch.bfloat16, 5e-2)])
def test_a_device_computes_what_the_oracle_does(device, name, dtype, error):
    plan = CASES[name].example.bind(ROPE).plan(700)
    q, k, v = inputs(2, 2, 3, 700, 700, dtype)
    expected = DenseAttention()(q.float(), k.float(), v.float(), plan)
    found = ChunkedAttention()(*(x.to(device) for x in (q, k, v)), plan)
    assert found.device.type == device
    torch.testing.assert_close(found.cpu().float(), expected, atol=error, rtol=error)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_a_model_on_a_device_decodes_as_on_the_cpu(device, name):
    ids = tokens(1, 330)
    method = CASES[name].example.bind(ROPE)
    logits = []
    for place in ("cpu", device):
        engine = Engine(small_model().to(place), method, ChunkedAttention(), 100)
        logits.append(in_pieces(engine, engine.cache([300]), ids, [300]).cpu())
    small_model().to("cpu")
    torch.testing.assert_close(logits[1], logits[0], atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_tile_fits_the_kernels_of_cuda(dtype, monkeypatch):
    """Without a device: shapes, dtypes and arguments, as torch checks them for tensors that hold nothing."""
    monkeypatch.setitem(fused.KERNELS, "meta", fused._cuda)
    for batch, ratio, dim in product((1, 2), (1, 4), (64, 20, 320)):
        query = torch.empty(batch, 2 * ratio, 96, dim, dtype=dtype, device="meta")
        key = torch.empty(batch, 2, 107, dim, dtype=dtype, device="meta")
        bias = torch.empty(96, 107, dtype=dtype, device="meta")
        of_strip = torch.empty(32, 43, dtype=dtype, device="meta")
        square = key[:, :, :96]
        found = [
            tile_attention(query, key, key),
            tile_attention(query, key, key, bias=bias),
            tile_attention(query, square, square, shape="causal"),
            tile_attention(query, square, square, shape="anticausal"),
            tile_attention(query, key, key, shape="strips", bias=of_strip, strip=32),
        ]
        for output, log_sum_exp in found:
            assert (output.shape, output.dtype) == (query.shape, dtype)
            assert (log_sum_exp.shape, log_sum_exp.dtype) == (query.shape[:3], torch.float32)
        rows = query[:, :2, :ratio]
        ((output, log_sum_exp),) = rows_attention(rows, key, key)
        assert (output.shape, log_sum_exp.shape) == (rows.shape, rows.shape[:3])
