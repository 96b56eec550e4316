"""What every positional method is: a frozen config, a checkpoint's RoPE, and a plan for a length."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sized
from typing import Any, ClassVar, Literal, TypeVar, get_args

import torch
from torch import Tensor

from lampe.config import ModelConfig, PositionalConfig, RopeConfig
from lampe.errors import PlanError
from lampe.positional.plan import PositionPlan
from lampe.positional.region import Region
from lampe.registry import Registry, validate

Family = Literal["frequency", "remap", "window"]
FAMILIES: tuple[Family, ...] = get_args(Family)
"""In the order in which lists show them."""

Self = TypeVar("Self", bound="PositionalEncoding")

GENTLE_TEMPERATURE = 0.1 * math.log(2) + 1
"""A of LaMPE and STRING, whatever the length: logits grow by 1.143434."""

FARTHEST = 2**20
"""Tokens; a method that stays inside the trained window up to here, and to 8 L, has no end for `reach`."""


LONGEST = 2**24
"""Tokens of the longest plan: fp32, which angles are computed in, does not hold every whole number above it."""


class PositionWarning(UserWarning):
    """A plan uses relative positions that the model was not trained on."""


class PositionalEncoding:
    """A positional method.

    A subclass overrides `frequencies`, `regions`, or both. It is written once, as a value (`YaRN(factor=4)`), and bound
    to the RoPE of a checkpoint (`method.bind(model_config)`) before it makes plans.

    Attributes:
        family: "frequency" (positions stay true), "remap" (frequencies stay trained) or "window" (keys are dropped).
        reach_formula: what `reach` computes, in the letters of the paper; shown in lists and docs.
        drops: which keys a query does not attend; empty when it attends all.
        experimental: not a published way to extend a trained model; an ablation.

    Args:
        config: the method's own `Config`; None makes one from `fields`.
        rope: the RoPE, or the model config, of a checkpoint; None leaves the method unbound.
        fields: the fields of the config.

    Raises:
        ConfigError: a field is unknown or its value is not accepted.
    """

    Config: ClassVar[type[PositionalConfig]]
    family: ClassVar[Family] = "frequency"
    reach_formula: ClassVar[str] = ""
    drops: ClassVar[str] = ""
    experimental: ClassVar[bool] = False

    def __init__(
        self, config: PositionalConfig | None = None, rope: RopeConfig | ModelConfig | None = None, **fields: Any
    ):
        if config is None:
            kind = self.Config.model_fields["kind"].default
            config = validate(self.Config, fields, f"positional method {kind!r}")
        elif fields:
            raise TypeError("give either a config or its fields")
        elif not isinstance(config, self.Config):
            name = type(self).__name__
            raise TypeError(f"{name}({config!r}): fields are named, as in {name}(temperature=1); or give {name}.Config")
        self.config: Any = config
        self._rope = rope.rope if isinstance(rope, ModelConfig) else rope
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        chosen = self.config.model_dump(exclude_defaults=True)
        return f"{type(self).__name__}({', '.join(f'{name}={_brief(value)}' for name, value in chosen.items())})"

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

    def described(self) -> dict[str, Any]:
        """The config as JSON, for records, and what it left to be found, which scores depend on as well."""
        return dict(self.config.model_dump(mode="json"))

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        """inv_freq, fp32 [D / 2] in radians a position, and the temperature A, for a planned length in tokens."""
        return inverse_frequencies(self.rope.theta, self.rope.dim), 1.0

    def regions(self, length: int) -> tuple[Region, ...]:
        """The regions for a planned length in tokens; all keys at their true positions unless overridden."""
        return (Region("all"),)

    def position_limit(self, length: int) -> float:
        """Relative positions below this were trained, or stand for trained ones by the scaled frequencies."""
        return float(self.window)

    def extended_window(self) -> int:
        """The longest input, in tokens, that a checkpoint takes whose own scaling this method is."""
        return self.rope.max_position

    def reach(self) -> float:
        """The longest input, in tokens, whose plan stays inside the trained window; infinite where a million tokens do.

        A method with a formula for it overrides this; here it is searched for, as if plans only grew with the length.
        """

        def inside(length: int) -> bool:
            try:
                return self.largest_position(length) < self.position_limit(length)
            except PlanError:
                return False

        return longest(inside, min(max(FARTHEST, 8 * self.window), LONGEST))

    def largest_position(self, length: int) -> float:
        """The largest relative position of a plan for `length` tokens, without `plan`'s warning."""
        return self._plan(length).largest_position()

    def fields_for(self, length: int) -> dict[str, Any]:
        """The fields that depend on how long inputs are, with sensible values for `length` tokens."""
        return {}

    def for_length(self: Self, length: int) -> Self:
        """The same method, set for inputs of `length` tokens: a factor, a group, a shift, as `fields_for` chooses.

        Fields that were set by hand, or by an earlier call, stay as they are.

        Raises:
            ValueError: `length` is below 1.
        """
        if length < 1:
            raise ValueError(f"for_length needs at least 1 token, got {length}")
        config = self.config
        stated = {name: getattr(config, name) for name in config.model_fields_set}
        fields = {**self.fields_for(length), **stated}
        return type(self)(validate(self.Config, fields, f"positional method {self.name!r}"), self.rope)

    def plan(self, length: int, *, sliding_window: int | None = None) -> PositionPlan:
        """The plan for a sequence of `length` tokens; warns, once, when it leaves the trained window.

        Args:
            length: in tokens.
            sliding_window: what the widest layer sees, in tokens; farther positions are never used and not warned of.

        Raises:
            ValueError: `length` is below 1 or above `LONGEST`.
            PlanError: the method cannot map that many tokens.
        """
        plan = self._plan(length)
        if (seen := plan.within(sliding_window)).largest_position() >= self.position_limit(length):
            self.warn_outside(seen, length)
        return plan

    def warn_outside(self, plan: PositionPlan, length: int) -> None:
        """Warn, once, that the first `length` tokens of a plan leave the trained window."""
        self._warn_once(
            f"{self.name}: {length} tokens reach relative position {plan.largest_position(length):.0f}, "
            f"outside the trained window of {self.position_limit(plan.length):.0f}",
            stacklevel=4,
        )

    def _plan(self, length: int) -> PositionPlan:
        """The plan, without a word."""
        if not 1 <= length <= LONGEST:
            raise ValueError(f"a plan needs a length of at least 1 token and at most {LONGEST}, got {length}")
        inv_freq, temperature = self._checked_frequencies(length)
        regions = self._checked_regions(length)
        for region in regions:
            region.check(length, len(inv_freq))
        return PositionPlan(
            length=length,
            inv_freq=inv_freq,
            regions=regions,
            temperature=self._chosen_temperature(temperature, length),
            log_n_window=self.window if self.config.log_n else None,
        )

    def _checked_frequencies(self, length: int) -> tuple[Tensor, float]:
        """What `frequencies` returns, if it is what plans are made of: a stranger's method may return anything."""
        found, wanted = self.frequencies(length), self.rope.dim // 2
        if not (isinstance(found, tuple) and len(found) == 2):
            raise PlanError(
                f"{self.name}: frequencies returns {_shown(found)}; (inv_freq, temperature) would be accepted"
            )
        inv_freq, temperature = found
        if not isinstance(inv_freq, Tensor) or inv_freq.shape != (wanted,):
            raise PlanError(
                f"{self.name}: inv_freq of frequencies is {_shown(inv_freq)}; a tensor of shape [{wanted}], half the "
                "rotary dimension, would be accepted"
            )
        return inv_freq, temperature

    def _checked_regions(self, length: int) -> tuple[Region, ...]:
        found = self.regions(length)
        if not (isinstance(found, tuple) and found and all(isinstance(region, Region) for region in found)):
            raise PlanError(f"{self.name}: regions returns {_shown(found)}; a tuple of Regions would be accepted")
        return found

    def _chosen_temperature(self, own: float, length: int) -> float:
        """A of a plan: what the config puts in the place of the method's own, if anything."""
        return own if self.config.temperature is None else float(self.config.temperature)

    def _warn_once(
        self, message: str, topic: str = "window", category: type[UserWarning] = PositionWarning, *, stacklevel: int = 3
    ) -> None:
        """Warn, but only once about a topic."""
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(message, category, stacklevel=stacklevel)


class ScaledEncoding(PositionalEncoding):
    """A method that lowers frequencies by a factor s, its `factor` field."""

    reach_formula = "s L; with factor = None s follows the length, and there is no end"

    def factor(self, length: int) -> float:
        """The scale factor s: as configured, else what the checkpoint was extended by, else what `length` needs."""
        if self.config.factor is not None:
            return float(self.config.factor)
        if self.rope.max_position > self.window:
            return self.rope.max_position / self.window
        return max(1.0, length / self.window)

    def position_limit(self, length: int) -> float:
        return self.window * self.factor(length)

    def reach(self) -> float:
        follows = self.config.factor is None and self.rope.max_position <= self.window
        return math.inf if follows else math.ceil(self.position_limit(1))

    def fields_for(self, length: int) -> dict[str, Any]:
        return {"factor": max(1.0, length / self.window)}


class RemapConfig(PositionalConfig):
    """What remap methods share.

    A temperature of a checkpoint's own scaling that is kept (YaRN's) belongs to the trained model: a method's own, and
    what `temperature` puts in its place, are multiplied onto it.

    Attributes:
        checkpoint_scaling: "keep" leaves the checkpoint's frequency scaling (llama3, yarn, ...) on, "off" drops it.
    """

    checkpoint_scaling: Literal["keep", "off"] = "keep"


class RemapEncoding(PositionalEncoding):
    """A method that keeps the trained frequencies and moves the positions instead."""

    family: ClassVar[Family] = "remap"

    @property
    def _scaling(self) -> PositionalEncoding | None:
        if self.rope.scaling is None or self.config.checkpoint_scaling == "off":
            return None
        return registry.create(self.rope.scaling, self.rope)

    @property
    def window(self) -> int:
        """The trained window L in tokens: with the checkpoint's scaling kept, the length it was extended to."""
        scaling = self._scaling
        extended = self.rope.original_window if scaling is None else scaling.extended_window()
        return int(self.config.original_window or extended)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        """The frequencies and temperature of the checkpoint, as it has them inside the window that it was extended to.

        A scaling that follows the length stops there: positions stay inside, however long the input is.
        """
        scaling = self._scaling
        if scaling is None:
            return super().frequencies(length)
        return scaling.frequencies(min(length, scaling.extended_window()))

    def _chosen_temperature(self, own: float, length: int) -> float:
        _, of_checkpoint = RemapEncoding.frequencies(self, length)
        return own if self.config.temperature is None else float(self.config.temperature) * of_checkpoint


def longest(holds: Callable[[int], bool], most: int) -> float:
    """The largest whole number up to which `holds` holds, infinite if it does at `most`, 0 if not even at 1."""
    low, high = 0, 1
    while high < most and holds(high):
        low, high = high, min(2 * high, most)
    if high == most and holds(most):
        return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def inverse_frequencies(theta: float, dim: int) -> Tensor:
    """theta^(-2k / dim) for k below dim / 2, fp32 [dim / 2]; computed as transformers does, to the last bit."""
    return 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.int64).float() / dim)


def _shown(value: object) -> str:
    """What a stranger's method returned, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__} of {len(value)}" if isinstance(value, Sized) else repr(value)


def _brief(value: object) -> str:
    """Of a table of numbers only the ends."""
    if isinstance(value, tuple) and len(value) > 8:
        return f"({value[0]!r}, ..., {value[-1]!r})"
    return repr(value)


def yarn_temperature(factor: float, mscale: float = 1.0) -> float:
    """YaRN's A = 0.1 * mscale * ln(s) + 1 for s > 1, else 1 (arXiv 2309.00071, equation 22)."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _import_builtin() -> None:
    import lampe.positional  # noqa: F401


registry: Registry[PositionalEncoding] = Registry(
    "lampe.positional", PositionalEncoding, "positional method", builtin=_import_builtin
)
