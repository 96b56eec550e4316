"""Turns a GGUF file into a Hugging Face checkpoint folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lampe.checkpoint.gguf_config import read_config
from lampe.checkpoint.gguf_file import GGUFFile
from lampe.checkpoint.gguf_tensors import convert_tensors
from lampe.checkpoint.gguf_tokenizer import write_json, write_tokenizer
from lampe.checkpoint.gguf_vocabulary import Vocabulary, read_vocabulary
from lampe.checkpoint.safetensors_stream import DTYPES, write_safetensors
from lampe.errors import CheckpointError, ConfigError
from lampe.files import expanded


def convert_gguf(
    source: str | Path,
    folder: str | Path,
    *,
    dtype: str = "bfloat16",
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a GGUF file (llama, mistral, qwen2, qwen3) as a folder that transformers and lampe load.

    The folder holds config.json, generation_config.json, model.safetensors (shards above 5 GB), tokenizer.json or
    tokenizer.model, and tokenizer_config.json with the chat template. It appears whole or not at all. Weights are
    converted a few rows at a time, so memory holds the vocabulary, whatever the size of the model.

    Args:
        source: the GGUF file, of any quantisation that the gguf package dequantises.
        folder: where to; it must be absent or empty.
        dtype: what to write the weights as: "bfloat16", "float16" or "float32".
        overwrite: replace `folder`, with all that is in it, if it is a checkpoint folder.
        progress: called with (tensors written, tensors in all, name) after each tensor.

    Returns:
        `folder`.

    Raises:
        MissingExtraError: the gguf package is not installed.
        ConfigError: an unknown `dtype`.
        CheckpointError: the file cannot be converted, or the folder is taken.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"dtype = {dtype!r}; accepted: {', '.join(DTYPES)}")
    target = expanded(folder)
    file = GGUFFile(expanded(source))
    _check_target(target, file.path, overwrite)
    config = read_config(file, dtype)
    tensors = convert_tensors(file, config)
    vocabulary = read_vocabulary(file, config["vocab_size"])
    token_ids = _token_ids(vocabulary)
    with _replacing(target.resolve()) as partial:
        write_json(partial / "config.json", config | token_ids)
        write_json(partial / "generation_config.json", _generation_config(token_ids, vocabulary))
        write_tokenizer(file, vocabulary, partial, config["max_position_embeddings"])
        write_safetensors(partial, tensors, dtype, progress=progress)
    return target


def _token_ids(vocabulary: Vocabulary) -> dict[str, Any]:
    ids = {"bos_token_id": vocabulary.bos_id, "eos_token_id": vocabulary.eos_id, "pad_token_id": vocabulary.pad_id}
    return {name: token for name, token in ids.items() if token is not None}


def _generation_config(token_ids: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    ends = vocabulary.end_ids
    return token_ids | ({"eos_token_id": ends[0] if len(ends) == 1 else list(ends)} if ends else {})


def _check_target(target: Path, source: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target} is a file; expected a folder that is absent or empty")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise CheckpointError(f"{target} is not empty; choose another folder, or overwrite it")
    if not (target / "config.json").is_file():
        raise CheckpointError(f"{target} holds files but no config.json, so it is no checkpoint and is not overwritten")
    if target.resolve() in source.resolve().parents:
        raise CheckpointError(f"{target} holds {source.name} itself and so is not overwritten; choose another folder")


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place when the block ends, or vanishes when it fails."""
    missing = [parent for parent in target.parents if not parent.exists()]
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.replaced")
    try:
        partial.mkdir(parents=True)
        yield partial
        if target.exists():
            target.rename(replaced)
        try:
            partial.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in missing:
            if parent.exists():
                parent.rmdir()
        if isinstance(error, OSError):
            raise CheckpointError(f"{target} cannot be written: {error.strerror}") from None
        raise
    shutil.rmtree(replaced, ignore_errors=True)
