"""`lampe chat`: a conversation, on a terminal or over a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from lampe.cli import options
from lampe.cli.answering import answer, sampling_rules, template_variables
from lampe.cli.console import stderr
from lampe.cli.options import load_llm, positional_config
from lampe.llm import LLM
from lampe.sampling import Sampling
from lampe.session import Session
from lampe.tokenizers import Message

EXIT, RESET = "/exit", "/reset"


def chat(
    checkpoint: options.Checkpoint,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message that the conversation begins with.")
    ] = None,
    variables: options.Variables = None,
    positional: options.Positional = None,
    settings: options.Settings = None,
    for_length: options.ForLength = None,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    attention: options.Attention = "auto",
    max_new_tokens: options.MaxNewTokens = 512,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    seed: options.Seed = None,
    stop: options.Stop = None,
    reread: Annotated[
        bool,
        typer.Option(
            "--reread",
            help="Read the whole conversation again where a longer one has other positions, instead of rotating what "
            "is cached.",
        ),
    ] = False,
) -> None:
    """Talk with a chat model: every line is a turn, until the input ends.

    /reset forgets the conversation, /exit leaves. Without a terminal the answers alone go to stdout.

    [dim]printf 'My name is Ada.\\nWhat is my name?\\n' | lampe chat ./model[/dim]
    """
    rules = sampling_rules(
        "chat",
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=stop,
    )
    stated = template_variables(variables)
    method = positional_config(positional, settings)
    llm = load_llm(
        checkpoint, positional=method, for_length=for_length, dtype=dtype, device=device, attention=attention
    )
    _converse(llm, rules, system, stated, llm.session(exact=reread))


def _converse(llm: LLM, rules: Sampling, system: str | None, variables: Mapping[str, Any], session: Session) -> None:
    opening: list[Message] = [] if system is None else [Message(role="system", content=system)]
    messages = list(opening)
    for line in _lines():
        if line == EXIT:
            return
        if line == RESET:
            messages = list(opening)
            session.forget()
            stderr.print("(a new conversation)", style="dim")
        elif line:
            messages.append(Message(role="user", content=line))
            reply = answer(llm, llm.chat_ids(messages, variables), rules, stream=True, session=session)
            messages.append(Message(role="assistant", content=reply.text))


def _lines() -> Iterator[str]:
    """The user's turns; a terminal gets a prompt and line editing."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.strip()
        return
    with contextlib.suppress(ImportError):  # Windows has none
        import readline  # noqa: F401

    stderr.print(f"{RESET} forgets the conversation, {EXIT} or Ctrl-D leaves", style="dim")
    with contextlib.suppress(EOFError):
        while True:
            yield input("> ").strip()
