"""Dual chunk attention."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from lampe.config import ModelConfig, RopeConfig
from lampe.errors import ConfigError
from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region, constant, zero


@registry.register(
    "dca",
    summary="true positions inside a chunk and to its neighbour, capped ones to older chunks",
    paper="https://arxiv.org/abs/2402.17463",
    aliases=("chunkllama",),
)
class DCA(RemapEncoding):
    """Dual chunk attention (An et al., arXiv 2402.17463): keys count from the beginning of their chunk of c = S - w.

    A query counts from the beginning of its own chunk for keys there; from that of the chunk before, at most S, for
    keys in it; and stands at min(2c - 1, S) for all older keys.
    """

    class Config(RemapConfig):
        """The fields of DCA.

        Attributes:
            chunk: S in tokens; None is 3/4 of the trained window.
            local: w in tokens; None is 1/8 of the trained window, or 1/6 of a smaller chunk, which is as much of the
                chunk where nothing is set (the paper takes 1/16 of the window for Qwen).
            grow_temperature: A = 0.05 ln(N / L) + 1 for plans of more than L tokens, an option of the authors' code.
        """

        kind: Literal["dca"] = "dca"
        chunk: int | None = Field(default=None, ge=2)
        local: int | None = Field(default=None, ge=1)
        grow_temperature: bool = False

    reach_formula = "no end, if min(2c - 1, S) < L"

    def __init__(self, config: DCA.Config | None = None, rope: RopeConfig | ModelConfig | None = None, **fields: Any):
        super().__init__(config, rope, **fields)
        chunk = self.config.chunk if self._rope is None else self.longest
        if None not in (chunk, self.config.local) and self.config.local >= chunk:
            raise ConfigError(f"positional method 'dca': local = {self.config.local} must be below chunk = {chunk}")

    @property
    def longest(self) -> int:
        """S, the largest position, in tokens."""
        return int(self.config.chunk or max(2, 3 * self.window // 4))

    @property
    def chunk(self) -> int:
        """c = S - w, the size of a chunk in tokens."""
        return self.longest - int(self.config.local or max(1, min(self.window // 8, self.longest // 6)))

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        growth = math.log(max(1.0, length / self.window)) if self.config.grow_temperature else 0.0
        return inv_freq, temperature * (0.05 * growth + 1)

    def regions(self, length: int) -> tuple[Region, ...]:
        c, longest = self.chunk, self.longest

        def in_chunk(index: Tensor) -> Tensor:
            return index % c

        def chunk_start(i: Tensor) -> Tensor:
            return i // c * c

        def previous_start(i: Tensor) -> Tensor:
            return chunk_start(i) - c

        def after_previous(i: Tensor) -> Tensor:
            return (i % c + c).clamp(max=longest)

        return (
            Region("same chunk", start=chunk_start, query_position=in_chunk, key_position=in_chunk),
            Region("previous chunk", previous_start, chunk_start, after_previous, in_chunk),
            Region("older chunks", zero, previous_start, constant(min(2 * c - 1, longest)), in_chunk),
        )

    def reach(self) -> float:
        return math.inf if min(2 * self.chunk - 1, self.longest) < self.window else self.window

    def fields_for(self, length: int) -> dict[str, Any]:
        """One chunk, and so true positions, for what fits into the trained window; the paper's chunks beyond."""
        return {"chunk": self.window if length <= self.window else max(2, 3 * self.window // 4)}
