"""An answer as it is made: streamed to stdout, or gathered."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lampe.cli.console import spinner
from lampe.cli.specs import parse_setting
from lampe.generation import Piece
from lampe.llm import LLM
from lampe.registry import validate
from lampe.sampling import Sampling
from lampe.session import Session, shared_prefix
from lampe.tokenizers import Tokenizer
from lampe.tokenizers.chat import checked_variables


@dataclass
class Answer:
    """What a prompt of `prompt_tokens` tokens was answered with."""

    prompt_tokens: int
    text: str = ""
    ids: list[int] = field(default_factory=list)


def sampling_rules(subject: str, *, stop: Sequence[str] | None = None, **options: Any) -> Sampling:
    """Check the sampling options before a checkpoint is loaded.

    Raises:
        ConfigError: names the option of command `subject`, its value and what would be accepted.
    """
    return validate(Sampling, {**options, "stop": tuple(stop or ())}, subject)


def tokenizer_of(llm: LLM) -> Tokenizer:
    """The tokenizer, which every checkpoint that `LLM.load` returns has."""
    assert llm.tokenizer is not None
    return llm.tokenizer


def template_variables(stated: Sequence[str] | None) -> dict[str, Any]:
    """What --variable says, each as "name=value"; checked before a checkpoint is loaded.

    Raises:
        LampeError: one is no such pair, or has a name that says how the conversation itself is written.
    """
    return checked_variables(dict(map(parse_setting, stated or ())))


def answer(
    llm: LLM,
    ids: list[int],
    rules: Sampling,
    *,
    stream: bool,
    session: Session | None = None,
    at_start: bool = True,
) -> Answer:
    """Continue a prompt of token ids.

    Args:
        at_start: the text stands for itself; False for one that goes on from the prompt.
        stream: write the text to stdout as it becomes certain, and a line break at the end.
        session: what has been read so far, of which the prompt may be the continuation.
    """
    result = Answer(len(ids))
    for piece in _pieces(session or llm.session(), ids, rules, at_start):
        result.text += piece.text
        if piece.token is not None:
            result.ids.append(piece.token)
        if stream:
            sys.stdout.write(piece.text)
            sys.stdout.flush()
    if stream:
        sys.stdout.write("" if result.text.endswith("\n") else "\n")
        sys.stdout.flush()
    return result


def _pieces(session: Session, ids: list[int], rules: Sampling, at_start: bool) -> Iterator[Piece]:
    pieces = session.generate(ids, rules, at_start=at_start)
    with spinner(f"reading {len(ids) - shared_prefix(session.ids, ids):,} tokens"):
        first = next(pieces, None)
    if first is not None:
        yield first
        yield from pieces
