"""Prefill, decoding, stopping and streaming."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

from lampe.attention import AttentionBackend
from lampe.errors import ConfigError, TokenizerError
from lampe.models.cache import KVCache
from lampe.models.transformer import Transformer
from lampe.positional import PositionalEncoding, PositionPlan
from lampe.positional.base import LONGEST, longest
from lampe.sampling import Sampler, Sampling
from lampe.tokenizers import StreamDecoder, Tokenizer

MOST_ROOM = 8192
"""New tokens that a cache has room for from the beginning: a budget may be large only so that it does not end."""


def room(length: int, budget: int) -> int:
    """Tokens that a cache begins with room for: a prompt of `length` tokens, and new ones up to `MOST_ROOM`."""
    return length + min(budget, MOST_ROOM)


REPLACEMENT = "\ufffd"
"""What UTF-8 shows of bytes that make no character."""


@dataclass(frozen=True)
class Engine:
    """A model that runs: what generation and evaluation need of it.

    Attributes:
        model: the decoder with its weights.
        positional: the method, bound to the model.
        backend: computes attention.
        prefill_chunk: tokens of a prompt that pass through the layers at once; memory grows with it.
    """

    model: Transformer
    positional: PositionalEncoding
    backend: AttentionBackend
    prefill_chunk: int = 4096

    def cache(self, prompt_lengths: Sequence[int], budget: int = 0) -> KVCache:
        """An empty cache with room for prompts of these lengths and `budget` new tokens each, up to `MOST_ROOM`.

        Rows of the same length share one plan. A cache grows where its room ends.
        """
        windows = self.positional.config.windows_of(self.model.config)
        config = self.model.config.model_copy(update={"sliding_windows": windows})
        plans = self.plans(prompt_lengths, budget)
        weight = self.model.model.embed_tokens.weight
        return KVCache.allocate(
            config,
            [plans[length] for length in prompt_lengths],
            room(max(prompt_lengths), budget),
            dtype=weight.dtype,
            device=weight.device,
        )

    def plans(self, prompt_lengths: Sequence[int], budget: int = 0) -> dict[int, PositionPlan]:
        """The plan of each prompt length: for the prompt, or for prompt and budget, as the method's config says."""
        widest = self.positional.config.widest_window(self.model.config)
        extra = budget if self.positional.config.length == "total" else 0
        if extra and max(prompt_lengths, default=0) + extra > LONGEST:
            raise ConfigError(
                f"max_new_tokens = {budget}: length = 'total' plans for the prompt and all of them, and the longest "
                f"plan is of {LONGEST} tokens; give a budget that may be used up, or length = 'prompt'"
            )
        return {
            length: self.positional.plan(length + extra, sliding_window=widest)
            for length in dict.fromkeys(prompt_lengths)
        }

    def check_prompt(self, ids: Sequence[int], name: str = "the prompt") -> None:
        """Refuse token ids that the model cannot continue.

        Raises:
            ValueError: there are none, or the vocabulary lacks one.
        """
        if not ids:
            raise ValueError(f"{name} is empty: a prompt needs at least one token")
        size = self.model.config.vocab_size
        wrong = next((token for token in ids if not 0 <= token < size), None)
        if wrong is not None:
            raise ValueError(f"token id {wrong}: the vocabulary has ids 0 to {size - 1}")

    @torch.inference_mode()
    def forward(self, ids: Tensor, cache: KVCache, *, last: int | None = None, out: Tensor | None = None) -> Tensor:
        """Append tokens [b, t] in chunks; logits [b, last, vocab_size] of the last of them (None: all).

        They are written into `out` where that is given; a tensor that is made here belongs to torch's inference mode.
        """
        total = ids.shape[1]
        last = total if last is None else min(last, total)
        ids = ids.to(self.model.model.embed_tokens.weight.device)
        for begin in range(0, total, self.prefill_chunk):
            chunk = ids[:, begin : begin + self.prefill_chunk]
            end = begin + chunk.shape[1]
            done = max(begin - (total - last), 0)
            wanted = max(end - (total - last), 0) - done
            # Weights, cache and rotations share one dtype, which autocast would change in some products only.
            with torch.autocast(ids.device.type, enabled=False):
                logits = self.model(chunk, cache, self.backend, last=wanted)
            if out is None and end == total and wanted == last:
                return logits  # type: ignore[no-any-return]
            if wanted:
                out = logits.new_empty(len(ids), last, logits.shape[2]) if out is None else out
                out[:, done : done + wanted] = logits
        assert out is not None
        return out

    def logits(self, ids: Tensor, cache: KVCache, *, last: int) -> Tensor:
        """As `forward`, in a tensor like any other, which may be changed and take part in gradients."""
        weight = self.model.model.embed_tokens.weight
        out = torch.empty(len(ids), last, len(weight), dtype=weight.dtype, device=weight.device)
        return self.forward(ids, cache, last=last, out=out)

    def seen(self, plan: PositionPlan) -> PositionPlan:
        """A plan as the layer that sees most sees it."""
        return plan.within(self.positional.config.widest_window(self.model.config))

    def inside(self, plan: PositionPlan, most: int) -> float:
        """How many tokens, decoded on, a plan keeps inside the trained window; infinite where it keeps `most` there."""
        limit, seen = self.positional.position_limit(plan.length), self.seen(plan)

        def holds(length: int) -> bool:
            return seen.largest_position(length) < limit

        return math.inf if holds(most) else longest(holds, most)


@dataclass(frozen=True)
class Piece:
    """One decoded token: the row it belongs to, its id, and the text that became certain with it.

    `text` is empty while a code point or a possible stop string is incomplete. `token` is None for text that was held
    back when the row ended.
    """

    row: int
    token: int | None
    text: str


class _Sequence:
    """A row being generated."""

    def __init__(
        self, row: int, prompt: list[int], sampling: Sampling, end_ids: Sequence[int], text: TextStream | None
    ):
        self.row = row
        self.inside = math.inf
        self._read = len(prompt)
        self.tokens: list[int] = []
        self.done = False
        self._sampler = Sampler(sampling, prompt)
        self._left = sampling.max_new_tokens
        self._end_ids = () if sampling.ignore_eos else end_ids
        self._text = text

    @property
    def length(self) -> int:
        """Tokens that are held once the last one was run."""
        return self._read + len(self.tokens)

    def advance(self, logits: Tensor) -> Iterator[Piece]:
        """Choose the next token from logits [vocab_size]; an end token ends the row and is not part of the answer."""
        token = self._sampler.choose(logits)
        self._left -= 1
        ended = token in self._end_ids
        if not ended:
            self.tokens.append(token)
            text = self._text.push(token) if self._text else ""
            yield Piece(self.row, token, text)
        stopped = self._text is not None and self._text.stopped
        self.done = ended or stopped or self._left == 0
        if self.done and self._text and (rest := self._text.flush()):
            yield Piece(self.row, None, rest)


def generate(
    engine: Engine,
    prompts: Sequence[list[int]],
    sampling: Sampling,
    *,
    end_ids: Sequence[int] = (),
    tokenizer: Tokenizer | None = None,
    at_start: bool = True,
    cache: KVCache | None = None,
    contexts: Sequence[list[int]] | None = None,
) -> Iterator[Piece]:
    """Continue several prompts at once; every row is what the same prompt gives alone.

    An answer that leaves the trained window is warned of, once a method, when it does.

    Prompts are prefilled one after another, each under a plan for its own length; then all rows decode together until
    they end.

    Args:
        prompts: token ids of each, none empty.
        end_ids: tokens that end a row.
        tokenizer: makes the text of the pieces; None leaves it empty and allows no stop strings.
        at_start: the text of a row stands for itself, as an answer does; False for one that goes on from its prompt,
            and then keeps the space that SentencePiece writes before a first word.
        cache: tokens that stand before the prompts, a row for each; None begins with an empty one.
        contexts: the token ids that `cache` holds, for the repetition penalty; None leaves it to the prompts.

    Returns:
        The tokens of all rows as they are made.

    Raises:
        TokenizerError: there are stop strings and no tokenizer.
    """
    if sampling.stop and tokenizer is None:
        raise TokenizerError("stop strings need a tokenizer, and this model was made without one")

    def pieces() -> Iterator[Piece]:
        held = engine.cache([len(prompt) for prompt in prompts], sampling.max_new_tokens) if cache is None else cache
        # Embeddings are often padded beyond the tokenizer's last id; no text has such a token.
        known = tokenizer.vocab_size if tokenizer else None
        sequences = []
        for row, prompt in enumerate(prompts):
            text = TextStream(tokenizer.stream(at_start=at_start), sampling.stop) if tokenizer else None
            context = contexts[row] if contexts else []
            sequence = _Sequence(row, [*context, *prompt], sampling, end_ids, text)
            logits = engine.forward(torch.tensor([prompt]), held.select([row]), last=1)
            yield from sequence.advance(logits[0, -1, :known])
            sequence.inside = engine.inside(held.rows[row].plan, room(sequence.length, sampling.max_new_tokens))
            sequences.append(sequence)
        while active := [sequence for sequence in sequences if not sequence.done]:
            for sequence in active:
                if sequence.length > sequence.inside:
                    sequence.inside = math.inf
                    engine.positional.warn_outside(engine.seen(held.rows[sequence.row].plan), sequence.length)
            ids = torch.tensor([[sequence.tokens[-1]] for sequence in active])
            logits = engine.forward(ids, held.select([sequence.row for sequence in active]))
            for sequence, row_logits in zip(active, logits, strict=True):
                yield from sequence.advance(row_logits[-1, :known])

    return pieces()


class TextStream:
    """Text of a growing list of tokens, cut before the first stop string.

    Stop strings are looked for in the text with the special tokens that `decoder` skips; what is returned is without.

    Args:
        decoder: turns tokens into whole code points.
        stop: strings that end the text; a tail that may become one is held back.
    """

    def __init__(self, decoder: StreamDecoder, stop: Sequence[str] = ()):
        self.stopped = False
        self._decoder = decoder
        self._stop = tuple(stop)
        self._held = ""
        self._shown: list[bool] = []  # for each character that is held
        self._gap: int | None = None

    def push(self, token: int) -> str:
        """The text that became certain with one more token."""
        unfinished = self._decoder.unfinished
        early, text = self._placed(self._decoder.push(token))
        hidden = self._decoder.skipped.get(token, "")
        if hidden and unfinished and self._gap is None:
            self._gap = len(self._held)
            hidden = REPLACEMENT + hidden
        return early + self._release(text, hidden)

    def flush(self) -> str:
        """What was held back, at the end."""
        if self.stopped:
            return ""
        early, text = self._placed(self._decoder.flush())
        return early + self._release(text, final=True)

    def _placed(self, text: str) -> tuple[str, str]:
        """Text that comes before all that is held, and text that comes behind it.

        Bytes that a special token parts from the rest of their character stand before it: a gap is held in their place.
        """
        gap = self._gap
        if gap is None or not text:
            return "", text
        self._gap = None
        if text[0] != REPLACEMENT:
            return "", text  # the rest came after all, and with it the character
        if gap < 0:
            return text[0], text[1:]
        self._shown[gap] = True
        return "", text[1:]

    def _release(self, text: str, hidden: str = "", *, final: bool = False) -> str:
        self._held += text + hidden
        self._shown += [True] * len(text) + [False] * len(hidden)
        found = [index for stop in self._stop if (index := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            keep = min(found)
        else:
            keep = len(self._held) - (0 if final else self._possible_stop())
        certain = "".join(compress(self._held[:keep], self._shown))
        self._held, self._shown = self._held[keep:], self._shown[keep:]
        if self._gap is not None:
            self._gap -= keep
        return certain

    def _possible_stop(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = min(max(map(len, self._stop), default=1) - 1, len(self._held))
        for length in range(longest, 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0
