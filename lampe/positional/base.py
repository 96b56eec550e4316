"""What every positional method is: a frozen config, a checkpoint's RoPE, and a plan for a length."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from lampe.config import ModelConfig, PositionalConfig, RopeConfig
from lampe.positional.plan import PositionPlan
from lampe.positional.region import Region
from lampe.registry import Registry, validate

Self = TypeVar("Self", bound="PositionalEncoding")


class PositionWarning(UserWarning):
    """A plan uses relative positions that the model was not trained on."""


class PositionalEncoding:
    """A positional method.

    A subclass overrides `frequencies`, `regions`, or both. It is written once, as a value (`YaRN(factor=4)`), and bound
    to the RoPE of a checkpoint (`method.bind(model_config)`) before it makes plans.

    Args:
        config: the method's own `Config`; None makes one from `fields`.
        rope: the RoPE, or the model config, of a checkpoint; None leaves the method unbound.
        fields: the fields of the config.

    Raises:
        ConfigError: a field is unknown or its value is not accepted.
    """

    Config: ClassVar[type[PositionalConfig]]

    def __init__(
        self, config: PositionalConfig | None = None, rope: RopeConfig | ModelConfig | None = None, **fields: Any
    ):
        if config is None:
            kind = self.Config.model_fields["kind"].default
            config = validate(self.Config, fields, f"positional method {kind!r}")
        elif fields:
            raise TypeError("give either a config or its fields")
        self.config: Any = config
        self._rope = rope.rope if isinstance(rope, ModelConfig) else rope
        self._warned = False

    def __repr__(self) -> str:
        chosen = self.config.model_dump(exclude_defaults=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"

    @property
    def name(self) -> str:
        """The registered name."""
        return str(self.config.kind)

    @property
    def rope(self) -> RopeConfig:
        """The RoPE of the checkpoint this method is bound to."""
        if self._rope is None:
            raise RuntimeError(f"{self!r} is not bound to a checkpoint yet: call bind(model_config)")
        return self._rope

    def bind(self: Self, rope: RopeConfig | ModelConfig) -> Self:
        """The same method for the RoPE of a checkpoint."""
        return type(self)(self.config, rope)

    @property
    def window(self) -> int:
        """The trained window L in tokens."""
        return int(self.config.original_window or self.rope.original_window)

    def factor(self, length: int) -> float:
        """The scale factor s: as configured, else what the checkpoint was extended by, else what `length` needs."""
        configured = getattr(self.config, "factor", None)
        if configured is not None:
            return float(configured)
        if self.rope.max_position > self.window:
            return self.rope.max_position / self.window
        return max(1.0, length / self.window)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        """inv_freq, fp32 [D / 2] in radians a position, and the temperature A, for a planned length in tokens."""
        return inverse_frequencies(self.rope.theta, self.rope.dim), 1.0

    def regions(self, length: int) -> tuple[Region, ...]:
        """The regions for a planned length in tokens; all keys at their true positions unless overridden."""
        return (Region("all"),)

    def position_limit(self, length: int) -> float:
        """Relative positions below this were trained, or stand for trained ones by the scaled frequencies."""
        return float(self.window)

    def plan(self, length: int, *, sliding_window: int | None = None) -> PositionPlan:
        """The plan for a sequence of `length` tokens; warns, once, when it leaves the trained window.

        Args:
            length: in tokens.
            sliding_window: what the widest layer sees, in tokens; farther positions are never used and not warned of.

        Raises:
            ValueError: `length` is below 1, or the method cannot map that many tokens.
        """
        if length < 1:
            raise ValueError(f"a plan needs a length of at least 1 token, got {length}")
        inv_freq, temperature = self.frequencies(length)
        plan = PositionPlan(
            length=length,
            inv_freq=inv_freq,
            regions=self.regions(length),
            temperature=temperature if self.config.temperature is None else self.config.temperature,
            log_n_window=self.window if self.config.log_n else None,
        )
        self._warn_outside(plan.within(sliding_window))
        return plan

    def _warn_outside(self, plan: PositionPlan) -> None:
        limit = self.position_limit(plan.length)
        if self._warned or (largest := plan.largest_position()) < limit:
            return
        self._warned = True
        warnings.warn(
            f"{self.name}: {plan.length} tokens reach relative position {largest:.0f}, "
            f"outside the trained window of {limit:.0f}",
            PositionWarning,
            stacklevel=3,
        )


class RemapConfig(PositionalConfig):
    """What remap methods share.

    Attributes:
        checkpoint_scaling: "keep" leaves the checkpoint's frequency scaling (llama3, yarn, ...) on, "off" drops it.
    """

    checkpoint_scaling: Literal["keep", "off"] = "keep"


class RemapEncoding(PositionalEncoding):
    """A method that keeps the trained frequencies and moves the positions instead."""

    @property
    def _scaling(self) -> PositionalEncoding | None:
        if self.rope.scaling is None or self.config.checkpoint_scaling == "off":
            return None
        return registry.create(self.rope.scaling, self.rope)

    @property
    def window(self) -> int:
        """The trained window L in tokens: with the checkpoint's scaling kept, the length it was extended to."""
        extended = self.rope.original_window if self._scaling is None else self.rope.max_position
        return int(self.config.original_window or extended)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        """The frequencies and temperature of the checkpoint."""
        scaling = self._scaling
        return super().frequencies(length) if scaling is None else scaling.frequencies(length)


def inverse_frequencies(theta: float, dim: int) -> Tensor:
    """theta^(-2k / dim) for k below dim / 2, fp32 [dim / 2]; computed as transformers does, to the last bit."""
    return 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.int64).float() / dim)


def yarn_temperature(factor: float, mscale: float = 1.0) -> float:
    """YaRN's A = 0.1 * mscale * ln(s) + 1 for s > 1, else 1 (arXiv 2309.00071, equation 22)."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _import_builtin() -> None:
    import lampe.positional  # noqa: F401


registry: Registry[PositionalEncoding] = Registry(
    "lampe.positional", PositionalEncoding, "positional method", builtin=_import_builtin
)
