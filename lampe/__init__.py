"""lampe: long context in PyTorch, with interchangeable positional methods."""

from __future__ import annotations

from lampe import attention, models, positional
from lampe.config import ModelConfig, PositionalConfig, RopeConfig
from lampe.errors import LampeError
from lampe.llm import LLM
from lampe.positional import (
    NTK,
    PI,
    DynamicNTK,
    LaMPE,
    Llama3,
    LongRoPE,
    PositionalEncoding,
    PositionPlan,
    Region,
    RoPE,
    YaRN,
)
from lampe.sampling import Sampling

__version__ = "0.1.0"

__all__ = [
    "LLM",
    "NTK",
    "PI",
    "DynamicNTK",
    "LaMPE",
    "LampeError",
    "Llama3",
    "LongRoPE",
    "ModelConfig",
    "PositionPlan",
    "PositionalConfig",
    "PositionalEncoding",
    "Region",
    "RoPE",
    "RopeConfig",
    "Sampling",
    "YaRN",
    "attention",
    "models",
    "positional",
]
