"""Profiles: how long a span LaMPE maps an input of N tokens onto, fitted per model."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from lampe.config import FiniteModel, FrozenModel
from lampe.errors import ConfigError, closest, explain

BESIDE = "lampe-profile.json"
"""The name of a profile that lies in a checkpoint's folder."""

SHIPPED = Path(__file__).parent / "profiles"


class Tried(FiniteModel):
    """A span that was measured at some length.

    Attributes:
        span: in tokens.
        loss: mean over the contexts, in nats a token.
        error: standard error of its difference to the best span's loss, over the contexts; None with one context.
        contexts: how many.
    """

    span: int
    loss: float
    error: float | None = None
    contexts: int = Field(ge=1)


class Point(FiniteModel):
    """What was measured at one length.

    Attributes:
        length: of the input, in tokens.
        span: the one with the least loss.
        low: the smallest of the neighbouring spans whose loss is not above the least by more than the noise.
        high: the largest of them.
        mapped: whether anything was mapped; False where true positions were best.
        edge: whether the span is the largest whose positions stay inside the trained window.
        noise: what a loss must differ by to count, in nats a token.
        tried: all spans with a finite loss, ascending.
    """

    length: int
    span: int
    low: int
    high: int
    mapped: bool
    edge: bool
    noise: float
    tried: tuple[Tried, ...]


class SourceText(FrozenModel):
    """A text that a profile was measured on."""

    name: str
    sha256: str
    tokens: int


class Measured(FiniteModel):
    """What a profile was measured on, and what was found.

    Attributes:
        model: name of the checkpoint.
        fingerprint: of its weights (`lampe.checkpoint.fingerprint`).
        window: the trained window L in tokens.
        objective: what was minimised, with its fields.
        texts: the documents.
        points: by length.
        fit_error: root of the mean squared relative deviation of the curve from the best spans of the mapped points.
        left_out: what the time did not suffice for, in words.
        lampe: the version that measured.
    """

    model: str
    fingerprint: str
    window: int
    objective: dict[str, str | int | float | None]
    texts: tuple[SourceText, ...]
    points: tuple[Point, ...]
    fit_error: float
    left_out: tuple[str, ...] = ()
    lampe: str


class Profile(FiniteModel):
    """The scaled sigmoid f(N) = floor(l_max / (1 + exp(-(a N + b)))) of arXiv 2508.02308, section 3.

    Attributes:
        version: of this format.
        a: slope, per token.
        b: offset.
        l_max: the span that long inputs approach, in tokens.
        short_below: inputs of fewer tokens get `short_span` instead; 0 for none.
        short_span: in tokens.
        head: h in tokens, with which the curve was fitted; None leaves it to LaMPE, like tail and temperature.
        tail: t in tokens.
        temperature: A.
        measured: what it was fitted to; None for a curve that was written by hand or published, which any model takes.
    """

    version: Literal[1] = 1
    a: float = Field(gt=0)
    b: float
    l_max: float = Field(gt=1)
    short_below: int = Field(default=0, ge=0)
    short_span: int = Field(default=1, ge=1)
    head: int | None = Field(default=None, ge=0)
    tail: int | None = Field(default=None, ge=0)
    temperature: float | None = Field(default=None, gt=0)
    measured: Measured | None = None

    def span(self, length: int) -> int:
        """The mapping span for an input of `length` tokens."""
        if length < self.short_below:
            return self.short_span
        # Beyond 700 the exponential is no double any more, and the span long 1.
        return max(1, math.floor(self.l_max / (1 + math.exp(min(-(self.a * length + self.b), 700)))))

    def formula(self) -> str:
        """The curve as one line of text."""
        short = f"; {self.short_span:,} below {self.short_below:,} tokens" if self.short_below else ""
        return f"f(N) = floor({self.l_max:.1f} / (1 + exp(-({self.a:.4g} N {self.b:+.4f})))){short}"

    def misfit(self, window: int, fingerprint: str | None) -> str | None:
        """Why it does not belong to a model, or None where it does.

        Args:
            window: the model's trained window in tokens.
            fingerprint: of the model's checkpoint; None where it did not come from files, and goes unchecked.
        """
        if self.measured is None:
            return None
        if self.measured.window != window:
            return f"it was measured on a trained window of {self.measured.window}, not {window}"
        if fingerprint is not None and self.measured.fingerprint != fingerprint:
            return f"it was measured on other weights, those of {self.measured.model}"
        return None

    @classmethod
    def default(cls, window: int) -> Profile:
        """The curve of a model without a profile: l_max = 3/4 L, and llama3's curve with N scaled by L / 8192."""
        stretch = window / 8192
        llama3 = PROFILES["llama3"]
        return cls(
            a=llama3.a / stretch,
            b=llama3.b,
            l_max=0.75 * window,
            short_below=round(llama3.short_below * stretch),
            short_span=max(1, round(llama3.short_span * stretch)),
        )

    @classmethod
    def load(cls, name_or_file: str) -> Profile:
        """A profile that comes with lampe, by name, or one from a JSON file.

        Raises:
            ConfigError: neither a known name nor a readable profile.
        """
        if name_or_file in PROFILES:
            return PROFILES[name_or_file]
        if name_or_file in shipped():
            return shipped()[name_or_file]
        path = Path(name_or_file)
        if not path.is_file():
            names = [*PROFILES, *shipped()]
            near = closest(name_or_file, names)
            raise ConfigError(
                f"lampe profile = {name_or_file!r}: neither a file nor a known name{near}; names: {', '.join(names)}"
            )
        return cls.from_json(path.read_bytes(), f"lampe profile {path}")

    @classmethod
    def from_json(cls, document: bytes, subject: str) -> Profile:
        """The profile that a file holds.

        Args:
            document: JSON in UTF-8.
            subject: what errors call it.

        Raises:
            ConfigError: it is no readable profile.
        """
        try:
            return cls.model_validate(json.loads(document.decode()))
        except ValidationError as error:
            raise ConfigError(explain(error, subject, cls.model_fields)) from None
        except ValueError as error:
            # Of JSON, of UTF-8, or of an integer with more digits than Python reads.
            raise ConfigError(f"{subject}: not JSON ({error})") from None


@lru_cache(maxsize=1)
def shipped() -> dict[str, Profile]:
    """The measured profiles that come with lampe, by the name of their model."""
    return {path.stem: Profile.model_validate_json(path.read_bytes()) for path in sorted(SHIPPED.glob("*.json"))}


_LLAMA3 = {"a": 1.0493097327094324e-04, "b": -2.466638011138158, "short_below": 8192, "short_span": 1536}

PROFILES: dict[str, Profile] = {
    "llama2": Profile(
        a=8.673006440952035e-05,
        b=-0.648012322406978,
        l_max=2489.1055552214357,
        short_below=8192,
        short_span=1536,
    ),
    "llama3": Profile(l_max=6204.409324666837, **_LLAMA3),
    "mistral": Profile(l_max=24576, **_LLAMA3),
    "llama3.1": Profile(a=4.505261149632588e-05, b=-2.788576860718702, l_max=82358.52413056031),
}
"""The constants of the authors' release, for Llama-2-7B, Llama-3-8B, Mistral-7B and Llama-3.1-8B."""
