"""The table of frequency divisors in a GGUF file leads back to the llama3 scaling that it was made from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig

from lampe.checkpoint.gguf_rope import llama3_scaling
from lampe.errors import CheckpointError
from tests.checkpoint.gguf_samples import frequency_divisors


def divisors(factor: float, window: int, theta: float = 500000.0, head_dim: int = 128, **others: float) -> np.ndarray:
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": factor, "original_max_position_embeddings": window}
    rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0, **others}
    config = LlamaConfig(rope_parameters=rope, head_dim=head_dim, max_position_embeddings=4 * window)
    return frequency_divisors(config).astype(np.float64)


@pytest.mark.parametrize(("factor", "head_dim"), [(8.0, 128), (32.0, 64)], ids=["3.1-8B", "3.2-1B"])
def test_scalings_of_released_models(factor, head_dim):
    assert llama3_scaling(divisors(factor, 8192, head_dim=head_dim), 500000.0) == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


@given(
    factor=st.integers(2, 64).map(float),
    window=st.integers(64, 20000),
    theta=st.floats(1e4, 2e6),
    head_dim=st.sampled_from([64, 96, 128]),
)
def test_factor_and_window_are_recovered(factor, window, theta, head_dim):
    scaling = llama3_scaling(divisors(factor, window, theta, head_dim), theta)
    assert scaling["factor"] == pytest.approx(factor, rel=1e-4)
    assert scaling["original_max_position_embeddings"] == pytest.approx(window, rel=1e-3)


def test_no_scaling_where_all_divisors_are_one():
    assert llama3_scaling(np.ones(32), 10000.0) is None


def test_other_tables_are_refused():
    with pytest.raises(CheckpointError, match="not Llama 3's scaling with low_freq_factor 1 and high_freq_factor 4"):
        llama3_scaling(np.linspace(1, 8, 64), 500000.0)
    with pytest.raises(CheckpointError, match="not Llama 3's scaling"):
        llama3_scaling(divisors(8.0, 8192, high_freq_factor=16.0), 500000.0)
