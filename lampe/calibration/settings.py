"""What a calibration measures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from lampe.config import FiniteModel
from lampe.evaluation import PasskeyLoss, Perplexity, Task

Objective = Literal["perplexity", "retrieval"]
Part = Literal["head", "tail", "temperature"]

Length = Annotated[int, Field(ge=2)]


class Settings(FiniteModel):
    """What is measured, and how closely the best span is looked for.

    Attributes:
        objective: "perplexity" is the loss of a context's last tokens; "retrieval" that of a number which was hidden
            in it at a random depth, when it is asked for.
        texts: files, folders of .txt files, or names (`lampe.evaluation.texts.NAMED`); each file is a document.
        places: contexts of each document.
        tokens: last tokens of a context that perplexity scores.
        keys: numbers that retrieval hides in each place, one at a time.
        lengths: of the contexts, in tokens; None is 1/2, 1, 3/2, 2 and 3 times the trained window.
        lowest: the smallest span that is tried, in tokens; None is 1/8 of the trained window.
        ratio: of neighbouring spans in the first, coarse walk.
        finest: spans closer than this ratio are not told apart.
        patience: how many spans in a row must be worse than the best for the walk to end.
        noise: what a loss must differ by at the least, in nats a token.
        head: h in tokens; None is 1/16 of the trained window.
        tail: t in tokens.
        temperature: A; None is LaMPE's own.
        search: which of head, tail and temperature are looked for too, in this order.
    """

    objective: Objective = "perplexity"
    texts: tuple[str, ...] = Field(default=("python-library",), min_length=1)
    places: int = Field(default=3, ge=1)
    tokens: int = Field(default=512, ge=1)
    keys: int = Field(default=2, ge=1)
    lengths: tuple[Length, ...] | None = Field(default=None, min_length=1)
    lowest: int | None = Field(default=None, ge=1)
    ratio: float = Field(default=1.5, gt=1)
    finest: float = Field(default=1.1, gt=1)
    patience: int = Field(default=2, ge=1)
    noise: float = Field(default=0.005, ge=0)
    head: int | None = Field(default=None, ge=0)
    tail: int = Field(default=200, ge=0)
    temperature: float | None = Field(default=None, gt=0)
    search: tuple[Part, ...] = ()

    @field_validator("lengths")
    @classmethod
    def _ascending(cls, lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if lengths is None else tuple(sorted(set(lengths)))

    def task(self) -> Task:
        """What measures a context."""
        if self.objective == "perplexity":
            return Perplexity(text=self.texts, tokens=self.tokens, places=self.places)
        return PasskeyLoss(text=self.texts, places=self.places, keys=self.keys)
