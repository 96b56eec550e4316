"""How a GGUF file states its rotary positions, as Hugging Face's rope_theta and rope_scaling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lampe.checkpoint.gguf_file import GGUFFile
from lampe.errors import CheckpointError

FACTORS_TENSOR = "rope_freqs.weight"
# Every Llama checkpoint that scales this way uses these two, and the tensor fixes the window only up to their scale.
LOW_FREQ_FACTOR, HIGH_FREQ_FACTOR = 1.0, 4.0
LLAMA3_WINDOW = 8192


def rope_fields(file: GGUFFile, head_dim: int, max_position: int) -> dict[str, Any]:
    """The config.json fields that describe positions.

    Args:
        file: the GGUF file.
        head_dim: size of an attention head.
        max_position: the context length that the file states, in tokens.

    Raises:
        CheckpointError: a scaling that config.json cannot express, or that is not known.
    """
    rotary = file.value("{arch}.rope.dimension_count", int) or head_dim
    if rotary != head_dim:
        raise CheckpointError(
            f"{file.architecture}.rope.dimension_count = {rotary}: only heads that rotate all {head_dim} dimensions "
            "are accepted"
        )
    theta = file.value("{arch}.rope.freq_base", float) or 10000.0
    if theta <= 1:
        raise CheckpointError(f"{file.architecture}.rope.freq_base = {theta}; expected a number above 1")
    stated, factors = _stated_scaling(file, max_position), file.tensors.get(FACTORS_TENSOR)
    if factors is None:
        return {"rope_theta": theta, "rope_scaling": stated}
    if stated is not None:
        raise CheckpointError(
            f"{file.path.name} has both {FACTORS_TENSOR} and {file.architecture}.rope.scaling.type = "
            f"{stated['rope_type']!r}; config.json has room for one"
        )
    window = file.value("{arch}.rope.scaling.original_context_length", int)
    divisors = np.concatenate([chunk.ravel() for chunk in factors.chunks()]).astype(np.float64)
    return {"rope_theta": theta, "rope_scaling": llama3_scaling(divisors, theta, window)}


def llama3_scaling(divisors: NDArray[np.float64], theta: float, window: int | None = None) -> dict[str, Any] | None:
    """Find the llama3 scaling that a table of frequency divisors was made from.

    llama.cpp stores for each frequency theta^(-2k/D) the number it is divided by: 1 for wavelengths below L/4, the
    factor for those above L, 1 / ((1 - t) / factor + t) with t = (L/wavelength - 1) / 3 between. A wavelength from
    between gives the window L.

    Args:
        divisors: [head_dim / 2].
        theta: the base of the frequencies.
        window: L where the file states it, in tokens.

    Returns:
        A `rope_scaling` of rope_type "llama3", or None when all divisors are 1.

    Raises:
        CheckpointError: no llama3 scaling gives these divisors.
    """
    factor = float(divisors.max(initial=1.0))
    if np.allclose(divisors, 1.0):
        return None
    wavelength = 2 * math.pi * theta ** (np.arange(divisors.size) / divisors.size)
    between = np.flatnonzero((divisors > 1.0 + 1e-4) & (divisors < factor * (1 - 1e-4)))
    if window is None and between.size:
        k = between[between.size // 2]
        keep = (1 / divisors[k] - 1 / factor) / (1 - 1 / factor)
        window = round(wavelength[k] * (LOW_FREQ_FACTOR + keep * (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR)))
    window = window or LLAMA3_WINDOW
    keep_all = np.clip((window / wavelength - LOW_FREQ_FACTOR) / (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR), 0, 1)
    if not np.allclose(divisors, 1 / ((1 - keep_all) / factor + keep_all), rtol=1e-3):
        raise CheckpointError(
            f"{FACTORS_TENSOR} divides the frequencies by 1 to {factor:g} in a way that is not Llama 3's scaling with "
            f"low_freq_factor {LOW_FREQ_FACTOR:g} and high_freq_factor {HIGH_FREQ_FACTOR:g}, the one that is accepted"
        )
    return {
        "rope_type": "llama3",
        "factor": round(factor, 4),
        "low_freq_factor": LOW_FREQ_FACTOR,
        "high_freq_factor": HIGH_FREQ_FACTOR,
        "original_max_position_embeddings": window,
    }


def _stated_scaling(file: GGUFFile, max_position: int) -> dict[str, Any] | None:
    linear = file.value("{arch}.rope.scale_linear", float) or 1.0
    kind = file.value("{arch}.rope.scaling.type", str) or ("none" if linear == 1.0 else "linear")
    factor = file.value("{arch}.rope.scaling.factor", float) or linear
    if kind == "none" or (kind == "linear" and factor == 1.0):
        return None
    if factor < 1:
        raise CheckpointError(f"{file.architecture}.rope.scaling.factor = {factor}; expected at least 1")
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind != "yarn":
        raise CheckpointError(f"{file.architecture}.rope.scaling.type = {kind!r}; accepted: none, linear, yarn")
    scaling: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": file.value("{arch}.rope.scaling.original_context_length", int)
        or max_position,
    }
    for name in ("beta_fast", "beta_slow"):
        beta = file.value(f"{{arch}}.rope.scaling.yarn_{name}", float)
        if beta is not None:
            scaling[name] = beta
    extra = file.value("{arch}.rope.scaling.attn_factor", float)
    if extra is not None and extra != 1.0:
        # llama.cpp multiplies YaRN's own temperature by it; Hugging Face states the product.
        scaling["attention_factor"] = extra * (0.1 * math.log(factor) + 1.0)
    return scaling
