"""The tokenizer inside a GGUF file, as the files that Hugging Face keeps beside a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lampe.checkpoint.gguf_bpe import tokenizer_json
from lampe.checkpoint.gguf_file import GGUFFile
from lampe.checkpoint.gguf_sentencepiece import Piece, sentencepiece_model
from lampe.checkpoint.gguf_vocabulary import TokenType, Vocabulary
from lampe.errors import CheckpointError


def write_tokenizer(file: GGUFFile, vocabulary: Vocabulary, folder: Path, max_position: int) -> None:
    """Write tokenizer.json or tokenizer.model, and tokenizer_config.json with the chat template.

    Raises:
        CheckpointError: merges or scores are missing or name tokens that do not exist.
    """
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast" if vocabulary.pre else "LlamaTokenizer",
        **vocabulary.special(),
        "add_bos_token": vocabulary.add_bos,
        "add_eos_token": vocabulary.add_eos,
        "model_max_length": max_position,
        "clean_up_tokenization_spaces": False,
    }
    if vocabulary.pre:
        _write_byte_level(file, vocabulary, vocabulary.pre, folder)
    else:
        config |= _write_sentencepiece(file, vocabulary, folder)
    template = _chat_template(file)
    if template:
        config["chat_template"] = template
    write_json(folder / "tokenizer_config.json", config)


def write_json(path: Path, content: Any) -> None:
    """Write indented UTF-8 JSON."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_byte_level(file: GGUFFile, vocabulary: Vocabulary, pre: str, folder: Path) -> None:
    merges = file.array("tokenizer.ggml.merges", str)
    if not merges:
        raise CheckpointError(f"{file.path.name}: tokenizer.ggml.merges is missing, which gpt2 tokenizers need")
    content = tokenizer_json(
        pre,
        _ids(file, vocabulary),
        merges,
        vocabulary.added(),
        prefix=vocabulary.bos_id if vocabulary.add_bos else None,
        suffix=vocabulary.eos_id if vocabulary.add_eos else None,
    )
    write_json(folder / "tokenizer.json", content)


def _write_sentencepiece(file: GGUFFile, vocabulary: Vocabulary, folder: Path) -> dict[str, Any]:
    """Write tokenizer.model and return what tokenizer_config.json has to say of it."""
    stated = file.value("tokenizer.ggml.add_space_prefix", bool)
    space_prefix = True if stated is None else stated
    model = sentencepiece_model(
        _pieces(file, vocabulary),
        {name.removesuffix("_token"): text for name, text in vocabulary.special().items()},
        add_dummy_prefix=space_prefix,
        remove_extra_whitespaces=bool(file.value("tokenizer.ggml.remove_extra_whitespaces", bool)),
    )
    (folder / "tokenizer.model").write_bytes(model)
    return {
        "add_prefix_space": space_prefix,
        "legacy": True,
        "added_tokens_decoder": {str(token.pop("id")): token for token in vocabulary.added()},
    }


def _ids(file: GGUFFile, vocabulary: Vocabulary) -> dict[str, int]:
    """Token texts to ids; unused ones, which only pad the embedding, are left out unless they have a role."""
    ids: dict[str, int] = {}
    roles = (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id, vocabulary.pad_id)
    for token, (text, kind) in enumerate(zip(vocabulary.tokens, vocabulary.types, strict=True)):
        if (kind != TokenType.UNUSED or token in roles) and ids.setdefault(text, token) != token:
            raise CheckpointError(
                f"{file.path.name}: tokenizer.ggml.tokens holds {text!r} twice, as {ids[text]} and {token}"
            )
    return ids


def _pieces(file: GGUFFile, vocabulary: Vocabulary) -> list[Piece]:
    scores = file.array("tokenizer.ggml.scores", float)
    if scores is None or len(scores) != len(vocabulary.tokens):
        found = "is missing" if scores is None else f"has {len(scores)} entries"
        raise CheckpointError(
            f"{file.path.name}: tokenizer.ggml.scores {found}, but {len(vocabulary.tokens)} tokens need one each"
        )
    normal = [score for score, kind in zip(scores, vocabulary.types, strict=True) if kind == TokenType.NORMAL]
    if len(normal) > 1 and len(set(normal)) == 1:
        raise CheckpointError(
            f"{file.path.name}: all tokenizer.ggml.scores are {normal[0]}, so they do not say which pieces join first"
        )
    pieces = [
        # llama.cpp writes the spaces of user-defined pieces as they are, sentencepiece looks for "▁".
        Piece(text.replace(" ", "▁") if kind == TokenType.USER_DEFINED else text, score, int(kind))
        for text, score, kind in zip(vocabulary.tokens, scores, vocabulary.types, strict=True)
    ]
    while pieces and pieces[-1].type == TokenType.UNUSED and pieces[-1].text == f"[PAD{len(pieces) - 1}]":
        pieces.pop()
    return pieces


def _chat_template(file: GGUFFile) -> str | list[dict[str, str]] | None:
    prefix = "tokenizer.chat_template"
    default = file.value(prefix, str)
    keys = [key for key in file.metadata_keys if key.startswith(f"{prefix}.")]
    named = {key.removeprefix(f"{prefix}."): file.required(key, str) for key in keys}
    if not named:
        return default
    templates = ({"default": default} if default else {}) | named
    return [{"name": name, "template": template} for name, template in templates.items()]
