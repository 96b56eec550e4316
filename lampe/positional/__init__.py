"""Positional methods: the registry, the plans, and every method that comes with lampe."""

from __future__ import annotations

from lampe.positional.base import (
    PositionalEncoding,
    PositionWarning,
    RemapConfig,
    RemapEncoding,
    ScaledEncoding,
    registry,
)
from lampe.positional.dca import DCA
from lampe.positional.dpe import DPE
from lampe.positional.dynamic_ntk import DynamicNTK
from lampe.positional.dynamic_yarn import DynamicYaRN
from lampe.positional.hope import HoPE
from lampe.positional.lampe import LaMPE, ProfileWarning
from lampe.positional.leaky_rerope import LeakyReRoPE
from lampe.positional.llama3 import Llama3
from lampe.positional.lm_infinite import LMInfinite
from lampe.positional.longrope import LongRoPE
from lampe.positional.nope import NoPE
from lampe.positional.ntk import NTK
from lampe.positional.ntk_by_parts import NTKByParts
from lampe.positional.pi import PI
from lampe.positional.plan import PositionPlan
from lampe.positional.profile import PROFILES, Profile
from lampe.positional.region import IndexMap, Region, constant, identity, zero
from lampe.positional.rerope import ReRoPE
from lampe.positional.rope import RoPE
from lampe.positional.self_extend import SelfExtend
from lampe.positional.streaming_llm import StreamingLLM
from lampe.positional.string import STRING
from lampe.positional.yarn import YaRN

register = registry.register
names = registry.names
create = registry.create

__all__ = [
    "DCA",
    "DPE",
    "NTK",
    "PI",
    "PROFILES",
    "STRING",
    "DynamicNTK",
    "DynamicYaRN",
    "HoPE",
    "IndexMap",
    "LMInfinite",
    "LaMPE",
    "LeakyReRoPE",
    "Llama3",
    "LongRoPE",
    "NTKByParts",
    "NoPE",
    "PositionPlan",
    "PositionWarning",
    "PositionalEncoding",
    "Profile",
    "ProfileWarning",
    "ReRoPE",
    "Region",
    "RemapConfig",
    "RemapEncoding",
    "RoPE",
    "ScaledEncoding",
    "SelfExtend",
    "StreamingLLM",
    "YaRN",
    "constant",
    "create",
    "identity",
    "names",
    "register",
    "registry",
    "zero",
]
