"""Profiles: how long a span LaMPE maps an input of N tokens onto, fitted per model."""

from __future__ import annotations

import json
import math
from pathlib import Path

from pydantic import Field, ValidationError

from lampe.config import FrozenModel
from lampe.errors import ConfigError, closest, explain


class Profile(FrozenModel):
    """The scaled sigmoid f(N) = floor(l_max / (1 + exp(-(a N + b)))) of arXiv 2508.02308, section 3.

    Attributes:
        a: slope, per token.
        b: offset.
        l_max: the span that long inputs approach, in tokens.
        short_below: inputs of fewer tokens get `short_span` instead; 0 for none.
        short_span: in tokens.
    """

    a: float = Field(gt=0)
    b: float
    l_max: float = Field(gt=1)
    short_below: int = Field(default=0, ge=0)
    short_span: int = Field(default=1, ge=1)

    def span(self, length: int) -> int:
        """The mapping span for an input of `length` tokens."""
        if length < self.short_below:
            return self.short_span
        return max(1, math.floor(self.l_max / (1 + math.exp(-(self.a * length + self.b)))))

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
        """A published profile by name, or a profile from a JSON file.

        Raises:
            ConfigError: neither a known name nor a readable profile.
        """
        if name_or_file in PROFILES:
            return PROFILES[name_or_file]
        path = Path(name_or_file)
        if not path.is_file():
            near = closest(name_or_file, PROFILES)
            raise ConfigError(
                f"lampe profile = {name_or_file!r}: neither a file nor a known name{near}; names: {', '.join(PROFILES)}"
            )
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            raise ConfigError(explain(error, f"lampe profile {path}", cls.model_fields)) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"lampe profile {path}: not JSON ({error})") from None


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
