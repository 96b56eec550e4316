"""The options that several commands share, and the checkpoint they name, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from lampe import attention as attention_backends
from lampe import positional as positional_methods
from lampe.cli.console import spinner
from lampe.cli.specs import parse_spec
from lampe.config import PositionalConfig
from lampe.errors import ConfigError
from lampe.llm import LLM

MODEL = "Model"
METHOD = "Positional method"
SAMPLING = "Sampling"

Checkpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="Folder with config.json and safetensors, or a hub name.")
]
Positional = Annotated[
    str | None,
    typer.Option(
        "--positional",
        "-p",
        metavar="METHOD",
        rich_help_panel=METHOD,
        help="A name, name:field=value:..., a JSON object or a .json file. Default: as the checkpoint was made.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", rich_help_panel=METHOD, help="A field of the method; repeatable."),
]
ForLength = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=METHOD,
        show_default=False,
        help="Set fields that depend on the length (factor, group, shift, ...) for N tokens, but for those given.",
    ),
]
Dtype = Annotated[
    str,
    typer.Option(metavar="DTYPE", rich_help_panel=MODEL, help="auto (that of the file), float32, bfloat16 or float16."),
]
Device = Annotated[
    str,
    typer.Option(metavar="DEVICE", rich_help_panel=MODEL, help="auto (an accelerator if there is one), cpu, cuda, ..."),
]
Attention = Annotated[
    str, typer.Option(metavar="BACKEND", rich_help_panel=MODEL, help="Attention backend; see `lampe list backends`.")
]
MaxNewTokens = Annotated[
    int, typer.Option("--max-new-tokens", "-n", metavar="N", rich_help_panel=SAMPLING, help="Make at most N tokens.")
]
Temperature = Annotated[
    float, typer.Option(metavar="T", rich_help_panel=SAMPLING, help="0 takes the most likely token each time.")
]
TopK = Annotated[
    int | None, typer.Option(metavar="K", rich_help_panel=SAMPLING, help="Draw from the K most likely tokens.")
]
TopP = Annotated[
    float | None,
    typer.Option(metavar="P", rich_help_panel=SAMPLING, help="Draw from the fewest tokens that together have P."),
]
MinP = Annotated[
    float | None,
    typer.Option(metavar="P", rich_help_panel=SAMPLING, help="Drop tokens below P times the most likely one."),
]
RepetitionPenalty = Annotated[
    float, typer.Option(metavar="X", rich_help_panel=SAMPLING, help="Above 1 makes tokens seen before less likely.")
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", rich_help_panel=SAMPLING, help="Of the random draws; default: a new one.")
]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", rich_help_panel=SAMPLING, help="End the answer before this text; repeatable."),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variable", metavar="NAME=VALUE", help="What the chat template reads, e.g. enable_thinking=false; repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def positional_config(text: str | None, settings: Sequence[str] | None) -> PositionalConfig | None:
    """The method that --positional and --set describe; None is what the checkpoint was made with."""
    if text is None:
        if settings:
            raise ConfigError(f"--set {settings[0]} needs --positional: it is a field of a positional method")
        return None
    config = parse_spec(positional_methods.registry, text, settings or ())
    assert isinstance(config, PositionalConfig)
    return config


def load_llm(
    checkpoint: str,
    *,
    positional: PositionalConfig | None = None,
    for_length: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    attention: str = "auto",
) -> LLM:
    """`LLM.load` with a spinner on stderr; the method is set for `for_length` tokens."""
    backend = attention_backends.create(parse_spec(attention_backends.registry, attention))
    with spinner(f"loading {checkpoint}"):
        llm = LLM.load(checkpoint, positional=positional, dtype=dtype, device=device, attention=backend)
    return llm if for_length is None else llm.with_positional(llm.positional.for_length(for_length))
