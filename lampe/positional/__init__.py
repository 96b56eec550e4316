"""Positional methods: the registry, the plans, and every method that comes with lampe."""

from __future__ import annotations

from lampe.positional.base import PositionalEncoding, PositionWarning, RemapConfig, RemapEncoding, registry
from lampe.positional.lampe import LaMPE, ProfileWarning
from lampe.positional.llama3 import Llama3
from lampe.positional.longrope import LongRoPE
from lampe.positional.ntk import NTK, DynamicNTK
from lampe.positional.pi import PI
from lampe.positional.plan import PositionPlan
from lampe.positional.profile import PROFILES, Profile
from lampe.positional.region import IndexMap, Region, identity
from lampe.positional.rope import RoPE
from lampe.positional.yarn import YaRN

register = registry.register
names = registry.names
create = registry.create

__all__ = [
    "NTK",
    "PI",
    "PROFILES",
    "DynamicNTK",
    "IndexMap",
    "LaMPE",
    "Llama3",
    "LongRoPE",
    "PositionPlan",
    "PositionWarning",
    "PositionalEncoding",
    "Profile",
    "ProfileWarning",
    "Region",
    "RemapConfig",
    "RemapEncoding",
    "RoPE",
    "YaRN",
    "create",
    "identity",
    "names",
    "register",
    "registry",
]
