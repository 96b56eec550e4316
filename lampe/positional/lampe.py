"""LaMPE: length-aware multi-grained positional encoding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lampe.errors import PlanError
from lampe.positional.base import GENTLE_TEMPERATURE, RemapConfig, RemapEncoding, registry
from lampe.positional.profile import Profile
from lampe.positional.region import IndexMap, Region, identity


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

    Where U reaches N - 1, or N is at most 2h or h + t, nothing needs mapping and the positions are true.
    """

    class Config(RemapConfig):
        """The fields of LaMPE.

        Attributes:
            head: h, distances kept true, in tokens; None is 1/16 of the trained window, 0 no head.
            tail: t, the farthest keys, in tokens; 0 for no tail.
            span: U, the positions that the whole input is mapped onto; "auto" asks the profile.
            profile: a published curve by name (llama2, llama3, mistral, llama3.1) or a JSON file, for span="auto".
            variant: "span" as above; "paper" has the paper's slope, so that the largest position is span - 1;
                "release" starts the middle one position earlier, as the authors' code does.
            fractional: g without the floor, an ablation.
        """

        kind: Literal["lampe"] = "lampe"
        head: int | None = Field(default=None, ge=0)
        tail: int = Field(default=200, ge=0)
        span: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
        profile: str | None = None
        variant: Literal["span", "paper", "release"] = "span"
        fractional: bool = False

        @model_validator(mode="after")
        def _possible(self) -> LaMPE.Config:
            if self.profile is not None:
                if self.span != "auto":
                    raise ValueError(f"profile = {self.profile!r} needs span = 'auto', not {self.span}")
                Profile.load(self.profile)
            if self.variant == "release" and self.head == 0:
                raise ValueError("variant 'release' needs head >= 1, not 0: it starts the middle one position earlier")
            if self.variant == "paper" and self.span != "auto" and self.span <= (self.head or 0) + self.tail:
                raise ValueError(f"variant 'paper' needs span > head + tail, not {self.span}")
            return self

    reach_formula = "where U + (1 - U / (N - 1)) (h + t') meets L; searched for, since U follows N"

    @property
    def head(self) -> int:
        """h in tokens."""
        return max(1, self.window // 16) if self.config.head is None else int(self.config.head)

    def span(self, length: int) -> int:
        """U for a planned length, before it is clamped to N - 1; warns once when it comes from the default curve."""
        if self.config.span != "auto":
            return int(self.config.span)
        if self.config.profile is not None:
            return Profile.load(self.config.profile).span(length)
        self._warn_once(
            "lampe: no profile for this model, so the span follows a rescaled llama3 curve; "
            f"set span or profile for the trained window of {self.window}; `lampe calibrate`, which will fit one, "
            "is still to come",
            "profile",
            ProfileWarning,
        )
        return Profile.default(self.window).span(length)

    def frequencies(self, length: int) -> tuple[Tensor, float]:
        inv_freq, temperature = super().frequencies(length)
        return inv_freq, temperature * GENTLE_TEMPERATURE

    def regions(self, length: int) -> tuple[Region, ...]:
        head, tail, span = self.head, self.config.tail, min(self.span(length), length - 1)
        if length <= max(2 * head, head + tail) or span >= length - 1:
            return (Region("all"),)
        mapping = self._mapping(length, span)
        tail_reach = mapping.end_of_group(tail)
        if tail_reach > length - head:
            raise PlanError(
                f"lampe: span = {span} is too coarse for {length} tokens: the group of {tail_reach} tokens at the tail "
                f"reaches into the head of {head}; raise span or lower head"
            )
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

    def _mapping(self, length: int, span: int) -> Mapping:
        if self.config.variant != "paper":
            return Mapping(span, length - 1, self.config.fractional)
        edges = self.head + self.config.tail
        if span <= edges:
            raise PlanError(f"lampe: variant 'paper' needs span > head + tail = {edges}, got {span} at {length} tokens")
        return Mapping(span - edges, length - edges, self.config.fractional)


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
