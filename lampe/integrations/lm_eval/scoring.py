"""How likely the last tokens of rows are, without ever holding the logits of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lampe.generation import Engine

LOGITS_AT_ONCE = 2048
"""Tokens of all rows together whose logits are held; with a vocabulary of 128K they take 1 GiB in fp32."""


@dataclass(frozen=True)
class Scores:
    """What the model makes of the end of rows.

    Attributes:
        own: log-probabilities of each row's own last tokens, [b, last - 1], fp32.
        likeliest: whether each of them was the most likely one, [b, last - 1].
        following: log-probabilities of what may follow the row, [b, vocab_size], fp32.
    """

    own: Tensor
    likeliest: Tensor
    following: Tensor

    def of(self, row: int, continuation: Sequence[int]) -> tuple[float, bool]:
        """Log-probability of a continuation, and whether each of its tokens was the most likely one.

        Args:
            row: its index.
            continuation: at most `last` tokens; all but the last of them end the row, the last one follows it.
        """
        begin = self.own.shape[1] - (len(continuation) - 1)
        final = self.following[row]
        likeliest = self.likeliest[row, begin:].all() and final.argmax() == continuation[-1]
        return float(self.own[row, begin:].double().sum() + final[continuation[-1]]), bool(likeliest)


@torch.inference_mode()
def score(engine: Engine, ids: Tensor, last: int) -> Scores:
    """Score the last tokens of rows of one length, under a plan for that length.

    Args:
        engine: runs the model.
        ids: [b, t].
        last: at how many last positions the next token is scored, that after the row included.
    """
    own, likeliest = [], []
    for begin, logits in _pieces(engine, ids, last):
        targets = ids[:, begin + 1 : begin + 1 + logits.shape[1], None].to(logits.device)
        logprobs = logits.float()
        normaliser = logprobs.logsumexp(dim=-1, keepdim=True)
        known = slice(targets.shape[1])
        own.append(logprobs[:, known].gather(2, targets)[..., 0] - normaliser[:, known, 0])
        likeliest.append(logits[:, known].argmax(dim=-1) == targets[..., 0])
        following = logprobs[:, -1] - normaliser[:, -1]
    return Scores(torch.cat(own, dim=1).cpu(), torch.cat(likeliest, dim=1).cpu(), following.cpu())


def _pieces(engine: Engine, ids: Tensor, last: int) -> Iterator[tuple[int, Tensor]]:
    """The logits of the last tokens, as many at a time as are held at once, and where in the row they begin."""
    rows, total = ids.shape
    cache = engine.cache([total] * rows)
    at_once = min(last, max(1, LOGITS_AT_ONCE // rows))
    first, rest = total - last, total - last + at_once
    # A short row passes through the layers once: what comes before the scored tokens goes with the first of them.
    yield first, engine.forward(ids[:, :rest], cache, last=at_once)
    for begin in range(rest, total, at_once):
        yield begin, engine.forward(ids[:, begin : begin + at_once], cache)
