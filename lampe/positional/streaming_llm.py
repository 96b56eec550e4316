"""StreamingLLM: attention sinks and a window."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from lampe.positional.base import RemapConfig, RemapEncoding, registry
from lampe.positional.region import Region, zero


@registry.register(
    "streaming-llm",
    summary="the first tokens and a window; positions count the keys that are kept",
    paper="https://arxiv.org/abs/2309.17453",
)
class StreamingLLM(RemapEncoding):
    """StreamingLLM (Xiao et al., arXiv 2309.17453): a query sees the first tokens and a window, as neighbours.

    Both positions are indices among the kept keys, so distances in the window are true and the sinks stand right before
    it. The cache still holds every token; what is dropped is not attended.
    """

    class Config(RemapConfig):
        """The fields of StreamingLLM.

        Attributes:
            sinks: tokens kept from the beginning.
            window: latest tokens kept, the query's own included; None fills the trained window.
        """

        kind: Literal["streaming-llm"] = "streaming-llm"
        sinks: int = Field(default=4, ge=0)
        window: int | None = Field(default=None, ge=1)

    family = "window"
    reach_formula = "no end, if sinks + window <= L"
    drops = "keys between the sinks and the window"

    @property
    def recent(self) -> int:
        """Latest tokens kept."""
        return int(self.config.window or max(1, self.window - self.config.sinks))

    def regions(self, length: int) -> tuple[Region, ...]:
        sinks, recent = self.config.sinks, self.recent

        def sinks_end(i: Tensor) -> Tensor:
            return (i + 1).clamp(max=sinks)

        def among_kept(i: Tensor) -> Tensor:
            return i.clamp(max=sinks + recent - 1)

        def window_start(i: Tensor) -> Tensor:
            return (i - (recent - 1)).clamp(min=sinks)

        window = Region("window", start=window_start)
        return (Region("sinks", zero, sinks_end, among_kept), window) if sinks else (window,)

    def reach(self) -> float:
        return math.inf if self.config.sinks + self.recent <= self.window else self.window
