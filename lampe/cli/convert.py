"""`lampe convert`: a GGUF file as a Hugging Face checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lampe.checkpoint.convert import convert_gguf
from lampe.cli.console import progress_bar


def convert(
    source: Annotated[Path, typer.Argument(metavar="MODEL.GGUF", help="A llama, mistral, qwen2 or qwen3 GGUF file.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; absent or empty.")],
    dtype: Annotated[
        str, typer.Option(metavar="DTYPE", help="Of the written weights: bfloat16, float16 or float32.")
    ] = "bfloat16",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a checkpoint folder.")] = False,
) -> None:
    """Turn a GGUF file into a folder that lampe and transformers load: weights, tokenizer and chat template.

    Needs the extra `gguf`. The folder appears whole or not at all.
    """
    with progress_bar() as progress:
        task = progress.add_task("converting", total=None)

        def advance(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name)

        written = convert_gguf(source, folder, dtype=dtype, overwrite=overwrite, progress=advance)
    typer.echo(str(written))
