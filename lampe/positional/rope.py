"""RoPE: rotary position embedding."""

from __future__ import annotations

from typing import Literal

from lampe.config import PositionalConfig
from lampe.positional.base import PositionalEncoding, registry


@registry.register(
    "rope", summary="true positions at the trained frequencies", paper="https://arxiv.org/abs/2104.09864"
)
class RoPE(PositionalEncoding):
    """Plain RoPE, without any scaling the checkpoint brings (Su et al., arXiv 2104.09864)."""

    class Config(PositionalConfig):
        """RoPE has no fields of its own."""

        kind: Literal["rope"] = "rope"

    reach_formula = "L"
