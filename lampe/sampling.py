"""From logits to the next token."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lampe.config import FiniteModel
from lampe.errors import NotFiniteError

GREEDY = 1e-5
"""Below this temperature the most likely token is taken: logits over it would not be finite."""

FILTERS = ("top_k", "top_p", "min_p")
"""The fields that leave tokens out of the draw."""


class Sampling(FiniteModel):
    """How a text is continued.

    Filters apply in the order of transformers: repetition penalty, temperature, top-k, top-p, min-p.

    Attributes:
        max_new_tokens: at most that many tokens are made.
        temperature: divides the logits; 0, and all below 1e-5, takes the most likely token.
        top_k: keep the k most likely tokens; like top_p and min_p, only where a token is drawn.
        top_p: keep the fewest tokens whose probabilities sum to at least p.
        min_p: keep tokens at least min_p times as likely as the most likely one.
        repetition_penalty: above 1, logits of tokens seen in prompt or answer are divided by it (multiplied if
            negative) (arXiv 1909.05858).
        seed: of the random draws; a row of a batch draws as if it were alone. None draws anew each time.
        stop: strings, none empty, that end the answer and are not part of its text; the tokens that make one are made.
        ignore_eos: go on after an end token.
    """

    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_k: int | None = Field(default=None, ge=1)
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**64)
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    ignore_eos: bool = False

    @model_validator(mode="after")
    def _draws(self) -> Sampling:
        for name in FILTERS:
            if getattr(self, name) is not None and self.temperature < GREEDY:
                raise ValueError(
                    f"{name} = {getattr(self, name)} needs a temperature above 0, not {self.temperature}, at which the "
                    "most likely token is taken"
                )
        return self


class Sampler:
    """Chooses the tokens of one sequence.

    Args:
        sampling: the rules.
        prompt: token ids before the answer, for the repetition penalty.
    """

    def __init__(self, sampling: Sampling, prompt: list[int]):
        self.sampling = sampling
        self._seen = set(prompt)
        self._generator: torch.Generator | None = None
        if sampling.temperature >= GREEDY and sampling.seed is not None:
            self._generator = torch.Generator().manual_seed(sampling.seed)

    def choose(self, logits: Tensor) -> int:
        """The next token id, from logits [vocab_size].

        Raises:
            NotFiniteError: the largest is no finite number.
        """
        dtype, logits = logits.dtype, logits.float().cpu()
        largest = float(logits.max())
        if not math.isfinite(largest):
            raise NotFiniteError(
                f"the largest logit is {largest}, so there is no next token: the weights are damaged, or they overflow "
                f"{dtype}, where dtype = 'bfloat16' or 'float32' has room"
            )
        if self.sampling.repetition_penalty != 1:
            logits = penalise(logits, self._seen, self.sampling.repetition_penalty)
        if self.sampling.temperature < GREEDY:
            token = int(logits.argmax())
        else:
            probabilities = filtered(logits, self.sampling).softmax(dim=-1)
            token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        self._seen.add(token)
        return token


def penalise(logits: Tensor, seen: set[int], penalty: float) -> Tensor:
    """Logits [vocab_size] with those of the seen tokens made less likely."""
    # A prompt may hold ids of a padded embedding, which the tokenizer does not have.
    ids = torch.tensor(sorted(token for token in seen if token < len(logits)), dtype=torch.int64)
    chosen = logits[ids]
    return logits.index_copy(0, ids, torch.where(chosen > 0, chosen / penalty, chosen * penalty))


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits [vocab_size] over the temperature, -inf for every token that top-k, top-p or min-p leaves out."""
    logits = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(sampling.top_k).values[-1], -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        logits = logits.masked_fill(
            torch.zeros_like(before, dtype=torch.bool).scatter(0, order, before >= sampling.top_p), -torch.inf
        )
    if sampling.min_p is not None:
        probabilities = logits.softmax(dim=-1)
        logits = logits.masked_fill(probabilities < sampling.min_p * probabilities.max(), -torch.inf)
    return logits
