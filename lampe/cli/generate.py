"""`lampe generate`: continue one prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lampe.cli import options
from lampe.cli.answering import answer, sampling_rules, template_variables, tokenizer_of
from lampe.cli.console import print_json
from lampe.cli.options import load_llm, positional_config
from lampe.errors import ConfigError
from lampe.files import expanded
from lampe.tokenizers import Message


def generate(
    checkpoint: options.Checkpoint,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT|-", show_default=False, help="The text; - reads standard input.")
    ] = None,
    prompt_file: Annotated[
        Path | None, typer.Option(parser=expanded, metavar="FILE", help="Read the prompt from a UTF-8 file instead.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Put the prompt through the checkpoint's chat template.")
    ] = False,
    variables: options.Variables = None,
    as_json: options.Json = False,
    positional: options.Positional = None,
    settings: options.Settings = None,
    for_length: options.ForLength = None,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    attention: options.Attention = "auto",
    max_new_tokens: options.MaxNewTokens = 128,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    seed: options.Seed = None,
    stop: options.Stop = None,
) -> None:
    """Continue a prompt, and show the text as it is made.

    One line break at the end of a file or of standard input is not part of the prompt.

    [dim]lampe generate ./model "Once upon a time" --positional lampe --set head=512 --set span=4096[/dim]
    """
    rules = sampling_rules(
        "generate",
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=stop,
    )
    if variables and not chat:
        raise ConfigError(f"--variable {variables[0]} needs --chat: it is read by the chat template")
    stated = template_variables(variables)
    method = positional_config(positional, settings)
    text = _read_prompt(prompt, prompt_file)
    llm = load_llm(
        checkpoint, positional=method, for_length=for_length, dtype=dtype, device=device, attention=attention
    )
    messages = [Message(role="user", content=text)]
    ids = llm.chat_ids(messages, stated) if chat else tokenizer_of(llm).encode_prompt(text)
    result = answer(llm, ids, rules, stream=not as_json, at_start=chat)
    if as_json:
        print_json(
            {
                "checkpoint": checkpoint,
                "positional": llm.positional.config.model_dump(mode="json"),
                "sampling": rules.model_dump(mode="json"),
                "prompt_tokens": result.prompt_tokens,
                "text": result.text,
                "ids": result.ids,
            }
        )


def _read_prompt(prompt: str | None, file: Path | None) -> str:
    if (prompt is None) == (file is None):
        raise ConfigError("expected one prompt: PROMPT, - for standard input, or --prompt-file FILE")
    if prompt is not None and prompt != "-":
        source, text = "PROMPT", prompt
    else:
        source = "standard input" if file is None else str(file)
        text = _read(file, source).removesuffix("\n")
    if not text:
        raise ConfigError(f"{source} is empty: a prompt needs at least one character")
    return text


def _read(file: Path | None, source: str) -> str:
    try:
        return sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"prompt file {source} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8 text: {error.reason} at byte {error.start}") from None
