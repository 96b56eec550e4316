"""lampe: long context in PyTorch, with interchangeable positional methods."""

from __future__ import annotations

from lampe import attention, models, positional
from lampe.config import ModelConfig, PositionalConfig, RopeConfig
from lampe.errors import LampeError
from lampe.llm import LLM
from lampe.positional import (
    DCA,
    DPE,
    NTK,
    PI,
    STRING,
    DynamicNTK,
    DynamicYaRN,
    HoPE,
    LaMPE,
    LeakyReRoPE,
    Llama3,
    LMInfinite,
    LongRoPE,
    NoPE,
    NTKByParts,
    PositionalEncoding,
    PositionPlan,
    Region,
    RemapConfig,
    RemapEncoding,
    ReRoPE,
    RoPE,
    ScaledEncoding,
    SelfExtend,
    StreamingLLM,
    YaRN,
)
from lampe.sampling import Sampling

__version__ = "0.1.0"

__all__ = [
    "DCA",
    "DPE",
    "LLM",
    "NTK",
    "PI",
    "STRING",
    "DynamicNTK",
    "DynamicYaRN",
    "HoPE",
    "LMInfinite",
    "LaMPE",
    "LampeError",
    "LeakyReRoPE",
    "Llama3",
    "LongRoPE",
    "ModelConfig",
    "NTKByParts",
    "NoPE",
    "PositionPlan",
    "PositionalConfig",
    "PositionalEncoding",
    "ReRoPE",
    "Region",
    "RemapConfig",
    "RemapEncoding",
    "RoPE",
    "RopeConfig",
    "Sampling",
    "ScaledEncoding",
    "SelfExtend",
    "StreamingLLM",
    "YaRN",
    "attention",
    "models",
    "positional",
]
