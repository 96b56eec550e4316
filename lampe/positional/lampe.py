"""LaMPE: length-aware multi-grained positional encoding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lampe.config import ModelConfig, RopeConfig
from lampe.errors import ConfigError, PlanError
from lampe.positional.base import GENTLE_TEMPERATURE, RemapConfig, RemapEncoding, registry
from lampe.positional.profile import BESIDE, Profile, shipped
from lampe.positional.region import IndexMap, Region, identity

TAIL = 200
"""t in tokens where nothing else is said, as in the authors' release."""

DEFAULT = "default"
"""The name of llama3's curve, rescaled to the trained window."""


class ProfileWarning(UserWarning):
    """The span comes from a curve that was not fitted to this model."""


@registry.register(
    "lampe",
    summary="a mapped middle between a true head and a true tail; the span grows with the input",
    paper="https://arxiv.org/abs/2508.02308",
)
class LaMPE(RemapEncoding):
    """Length-aware multi-grained positional encoding (Zhang et al., arXiv 2508.02308).

    With N tokens planned, h = head, t = tail, U = span and g(x) = (U x) // (N - 1) a pair at distance d has position
    d below h; g(i) - g(j) + b1 up to the tail; and d - b2 in the tail, where b1 and b2 make it go on without a gap. The
    tail takes in whole groups: t' is the largest x with g(x) = g(t). All integers are exact.

    Where U reaches N - 1, or N is at most 2h or h + t, nothing needs mapping and the positions are true; so they are
    where head and tail leave no middle of an input that fits into the window.
    """

    class Config(RemapConfig):
        """The fields of LaMPE.

        Attributes:
            head: h, distances kept true, in tokens; None is the profile's or 1/16 of the trained window, 0 no head.
            tail: t, the farthest keys, in tokens; None is the profile's or 200, 0 no tail.
            span: U, the positions that the whole input is mapped onto; "auto" asks the profile.
            profile: for span="auto": the name of one that comes with lampe (llama2, llama3, mistral, llama3.1 or a
                calibrated model), a JSON file that `lampe calibrate` wrote, or "default", llama3's curve rescaled. None
                is the file lampe-profile.json beside the checkpoint, else the one that comes with lampe for these
                weights, else "default" with a warning.
            force_profile: take a profile that was measured on other weights or another trained window.
            variant: "span" as above; "paper" has the paper's slope, so that the largest position is span - 1;
                "release" starts the middle one position earlier, as the authors' code does.
            fractional: g without the floor, an ablation.
        """

        kind: Literal["lampe"] = "lampe"
        head: int | None = Field(default=None, ge=0)
        tail: int | None = Field(default=None, ge=0)
        span: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
        profile: str | None = None
        force_profile: bool = False
        variant: Literal["span", "paper", "release"] = "span"
        fractional: bool = False

        @model_validator(mode="after")
        def _possible(self) -> LaMPE.Config:
            if self.profile is not None:
                if self.span != "auto":
                    raise ValueError(f"profile = {self.profile!r} needs span = 'auto', not {self.span}")
                if self.profile != DEFAULT:
                    Profile.load(self.profile)
            if self.variant == "release" and self.head == 0:
                raise ValueError("variant 'release' needs head >= 1, not 0: it starts the middle one position earlier")
            if (
                self.variant == "paper"
                and self.span != "auto"
                and self.span <= (self.head or 0) + (TAIL if self.tail is None else self.tail)
            ):
                raise ValueError(f"variant 'paper' needs span > head + tail, not {self.span}")
            return self

    reach_formula = "where U + (1 - U / (N - 1)) (h + t') meets L; searched for, since U follows N"

    def __init__(self, config: LaMPE.Config | None = None, rope: RopeConfig | ModelConfig | None = None, **fields: Any):
        super().__init__(config, rope, **fields)
        self.profile = self._find_profile() if self._rope is not None and self.config.span == "auto" else None
        """Where the span comes from, once bound; None for a span that is given, or for none that fits the model."""
        if self.config.variant == "release" and self.profile is not None and self.head == 0:
            raise ConfigError("lampe: variant 'release' needs head >= 1, not 0, which is what the profile says")

    @property
    def head(self) -> int:
        """h in tokens."""
        return int(self._stated("head", max(1, self.window // 16)))

    @property
    def tail(self) -> int:
        """t in tokens."""
        return int(self._stated("tail", TAIL))

    def described(self) -> dict[str, Any]:
        if self.config.span != "auto":
            return super().described()
        curve = (self.profile or Profile.default(self.window)).model_dump(mode="json", exclude={"measured"})
        return {**super().described(), "curve": curve}

    def span(self, length: int) -> int:
        """U for a planned length, before it is clamped to N - 1; warns once when it comes from the default curve."""
        if self.config.span != "auto":
            return int(self.config.span)
        if self.profile is not None:
            return self.profile.span(length)
        self._warn_once(
            "lampe: no profile for this model, so the span follows llama3's curve, rescaled to the trained window of "
            f"{self.window}; `lampe calibrate` fits one (profile = {DEFAULT!r} takes this curve without a word)",
            "profile",
            ProfileWarning,
        )
        return Profile.default(self.window).span(length)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        own = None if self.profile is None else self.profile.temperature
        return inv_freq, temperature * (GENTLE_TEMPERATURE if own is None else own)

    def regions(self, length: int) -> tuple[Region, ...]:
        head, tail, span = self.head, self.tail, min(self.span(length), length - 1)
        if length <= max(2 * head, head + tail) or span >= length - 1:
            return (Region("all"),)
        try:
            mapping, tail_reach = self._mapping(length, span)
        except PlanError:
            if length <= self.window:
                return (Region("all"),)
            raise
        shift = head - mapping.exact(head) - (1 if self.config.variant == "release" else 0)
        near = (Region.band("head", 0, head),) if head else ()
        middle = partial(Region.band, "middle", head, query_position=shifted(mapping, shift), key_position=mapping)
        if tail == 0:
            return *near, middle(None)
        edge = length - tail_reach
        tail_shift = (edge - 1) - (mapping.exact(edge - 1) + shift)
        return *near, middle(edge), Region.band("tail", edge, query_position=shifted(identity, -tail_shift))

    def largest_position(self, length: int) -> float:
        """That of the last query to the first key: positions grow with the query, and never fall with the distance."""
        farthest = self.regions(length)[-1]
        return float(farthest.query_position(torch.tensor([length - 1])) - farthest.key_position(torch.tensor([0])))

    def _stated(self, field: str, otherwise: int) -> int:
        """What the config says of a field, or else the profile."""
        stated = getattr(self.config, field)
        measured = None if self.profile is None else getattr(self.profile, field)
        return next((value for value in (stated, measured) if value is not None), otherwise)

    def _find_profile(self) -> Profile | None:
        origin = self.rope.origin
        fingerprint = None if origin is None else origin.fingerprint
        name = self.config.profile
        if name == DEFAULT:
            return Profile.default(self.window)
        if name is None and origin is not None and (Path(origin.folder) / BESIDE).is_file():
            name = str(Path(origin.folder) / BESIDE)
        if name is None:
            return next((p for p in shipped().values() if fingerprint and not p.misfit(self.window, fingerprint)), None)
        profile = Profile.load(name)
        misfit = profile.misfit(self.window, fingerprint)
        if misfit is not None and not self.config.force_profile:
            raise ConfigError(
                f"lampe profile {name}: {misfit}; calibrate this model, take profile = {DEFAULT!r}, or set "
                "force_profile = true"
            )
        return profile

    def _mapping(self, length: int, span: int) -> tuple[Mapping, int]:
        """g, and t' in tokens.

        Raises:
            PlanError: head and tail leave no middle.
        """
        if self.config.variant == "paper":
            edges = self.head + self.tail
            if span <= edges:
                raise PlanError(
                    f"lampe: variant 'paper' needs span > head + tail = {edges}, got {span} at {length} tokens"
                )
            mapping = Mapping(span - edges, length - edges, self.config.fractional)
        else:
            mapping = Mapping(span, length - 1, self.config.fractional)
        tail_reach = mapping.end_of_group(self.tail)
        if tail_reach > length - self.head:
            raise PlanError(
                f"lampe: span = {span} is too coarse for {length} tokens: the group of {tail_reach} tokens at the tail "
                f"reaches into the head of {self.head}; raise span or lower head"
            )
        return mapping, tail_reach


@dataclass(frozen=True)
class Mapping:
    """g(x) = (numerator * x) // denominator in exact integers, or without the floor."""

    numerator: int
    denominator: int
    fractional: bool

    def __call__(self, index: Tensor) -> Tensor:
        if self.fractional:
            return index.double() * self.numerator / self.denominator
        return index * self.numerator // self.denominator

    def exact(self, x: int) -> int | Fraction:
        """g of one index."""
        return (
            Fraction(self.numerator * x, self.denominator)
            if self.fractional
            else self.numerator * x // self.denominator
        )

    def end_of_group(self, x: int) -> int:
        """The largest index that g takes to g(x)."""
        if self.fractional:
            return x
        return -((self.exact(x) + 1) * -self.denominator // self.numerator) - 1


def shifted(position: IndexMap, shift: int | Fraction) -> IndexMap:
    """The coordinate `position` moved by a constant."""
    if isinstance(shift, int):
        return lambda index: position(index) + shift
    offset = float(shift)
    return lambda index: position(index).double() + offset
