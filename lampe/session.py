"""A growing sequence whose keys and values are kept from one prompt to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from lampe.generation import Engine, Piece, generate, room
from lampe.models.cache import KVCache
from lampe.sampling import Sampling
from lampe.tokenizers import Tokenizer


class Session:
    """Answers prompts that go on from one another, as the turns of a chat do, and reads only what is new.

    A longer prompt has a plan of its own. Where that one positions the cached tokens otherwise, their keys are rotated
    by the difference (`KVCache.replan`): the new tokens read them exactly where the new plan has them, but what they
    hold was computed under the plans before, as it is for tokens that were decoded. With `exact` such a prompt is read
    anew from its beginning instead, and gives the logits that it would give alone.

    Args:
        engine: the model that runs.
        exact: read everything again where the plans disagree.
        end_ids: tokens that end an answer.
        tokenizer: makes the text of the pieces; None leaves it empty and allows no stop strings.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        exact: bool = False,
        end_ids: Sequence[int] = (),
        tokenizer: Tokenizer | None = None,
    ):
        self.engine = engine
        self.exact = exact
        self.end_ids = tuple(end_ids)
        self.tokenizer = tokenizer
        self._cache: KVCache | None = None
        self._ids: list[int] = []
        self._turn = 0

    @property
    def ids(self) -> list[int]:
        """The tokens whose keys and values are held."""
        return list(self._ids)

    def forget(self) -> None:
        """Give the memory back; the next prompt is read from its beginning."""
        self._cache, self._ids = None, []
        self._turn += 1

    def logits(self, prompt: Sequence[int], *, last: int = 1) -> torch.Tensor:
        """Logits [last, vocab_size] of the last tokens of a prompt; the prompt is held afterwards.

        Raises:
            ValueError: the prompt is empty or has an unknown id, or `last` is not from 1 to its length.
        """
        ids = [int(token) for token in prompt]
        self.engine.check_prompt(ids)
        if not 1 <= last <= len(ids):
            raise ValueError(f"last = {last}: expected 1 to {len(ids)}, the tokens of the prompt")
        cache, held = self._continue(ids, 0, last)
        logits = self.engine.logits(torch.tensor([ids[held:]]), cache, last=last)
        self._ids = ids
        return logits[0]

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        at_start: bool = False,
    ) -> Iterator[Piece]:
        """Continue a prompt, of which the beginning that it shares with what is held is not read again.

        Args:
            prompt: token ids from the first one on.
            at_start: the text stands for itself, as an answer does; False for one that goes on from its prompt.

        Raises:
            ValueError: the prompt is empty or has an unknown id.
            TokenizerError: there are stop strings and no tokenizer.
            RuntimeError: the session went on to another prompt before this answer ended.

        Yields:
            The tokens as they are made. Prompt and answer are held afterwards, as far as they were run.
        """
        ids = [int(token) for token in prompt]
        self.engine.check_prompt(ids)
        cache, held = self._continue(ids, sampling.max_new_tokens, 1)
        turn = self._turn
        pieces = generate(
            self.engine,
            [ids[held:]],
            sampling,
            end_ids=self.end_ids,
            tokenizer=self.tokenizer,
            at_start=at_start,
            cache=cache,
            contexts=[ids[:held]],
        )
        try:
            for piece in pieces:
                if piece.token is not None:
                    ids.append(piece.token)
                yield piece
                if self._turn != turn:
                    raise RuntimeError("this session has gone on to another prompt; its former answer ends here")
        finally:
            if self._turn == turn:
                self._ids = ids[: cache.lengths[0]]

    def _continue(self, ids: list[int], budget: int, last: int) -> tuple[KVCache, int]:
        """A cache under the prompt's plan, and how many of its tokens that holds: all but `last` of them at most."""
        plan = self.engine.plans([len(ids)], budget)[len(ids)]
        held = min(shared_prefix(self._ids, ids), len(ids) - last)
        row = self._cache.rows[0] if self._cache else None
        if row is None or row.layout is None or (self.exact and not plan.agrees_with(row.plan, held)):
            self.forget()
            held = 0
        if self._cache is None:
            self._cache = self.engine.cache([len(ids)], budget)
        self._turn += 1
        self._cache.truncate(held)
        self._cache.replan([plan])
        self._cache.reserve(room(len(ids), budget))
        self._ids = ids[:held]
        return self._cache, held


def shared_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(first), len(second)))
