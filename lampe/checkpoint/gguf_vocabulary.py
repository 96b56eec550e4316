"""What a GGUF file says of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lampe.checkpoint.gguf_bpe import BYTE_LEVEL
from lampe.checkpoint.gguf_file import GGUFFile
from lampe.errors import CheckpointError, closest

# Texts by which llama.cpp too recognises a token that ends an answer, whatever the metadata says.
END_TEXTS = frozenset(["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|end|>"])
# llama.cpp's unsigned form of "none".
NO_TOKEN = 2**32 - 1


class TokenType(IntEnum):
    """tokenizer.ggml.token_type; the numbers are those of sentencepiece's ModelProto."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of its tokens.

    Attributes:
        model: "gpt2" (byte-level BPE) or "llama" (sentencepiece).
        pre: how text is split before BPE, e.g. "llama-bpe"; None for sentencepiece.
        tokens: by id; byte-level tokens in the printable alphabet of GPT-2, sentencepiece ones with "▁" for a space.
        end_ids: every token that ends an answer, the file's own end token first.
    """

    model: str
    pre: str | None
    tokens: list[str]
    types: list[TokenType]
    bos_id: int | None
    eos_id: int | None
    unk_id: int | None
    pad_id: int | None
    end_ids: tuple[int, ...]
    add_bos: bool
    add_eos: bool

    def special(self) -> dict[str, str]:
        """Names of tokenizer_config.json (bos_token, ...) to the tokens' texts."""
        ids = {"bos_token": self.bos_id, "eos_token": self.eos_id, "unk_token": self.unk_id, "pad_token": self.pad_id}
        return {name: self.tokens[token] for name, token in ids.items() if token is not None}

    def added(self) -> list[dict[str, Any]]:
        """The tokens that are found in text before it is split, as Hugging Face's tokenizer files list them."""
        kinds = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        return [
            {"id": token, "content": self.tokens[token], **flags, "special": kind != TokenType.USER_DEFINED}
            for token, kind in enumerate(self.types)
            if kind in kinds
        ]


def read_vocabulary(file: GGUFFile, rows: int) -> Vocabulary:
    """Read and check the tokens of a GGUF file.

    Args:
        file: the GGUF file.
        rows: how many tokens have an embedding.

    Raises:
        CheckpointError: a tokenizer that is not known, or one that contradicts itself or the embedding.
    """
    model = file.required("tokenizer.ggml.model", str)
    if model not in ("gpt2", "llama"):
        raise CheckpointError(
            f"{file.path.name}: tokenizer.ggml.model = {model!r}; accepted: gpt2 (byte-level BPE) and "
            "llama (sentencepiece)"
        )
    pre = _pre_tokenizer(file) if model == "gpt2" else None
    tokens = file.array("tokenizer.ggml.tokens", str)
    if not tokens:
        raise CheckpointError(f"{file.path.name}: tokenizer.ggml.tokens is missing")
    if len(tokens) > rows:
        raise CheckpointError(f"{file.path.name}: {len(tokens)} tokens, but token_embd.weight has only {rows} rows")
    types = _types(file, len(tokens))
    # llama.cpp's own defaults for files that leave these keys out.
    bos, eos, unk = (1, 2, 0) if pre is None else (None, None, None)
    add_bos = True if pre is None else BYTE_LEVEL[pre].add_bos
    eos_id = _token(file, "eos", len(tokens), eos)
    named = [eos_id, _token(file, "eot", len(tokens)), _token(file, "eom", len(tokens))]
    texts = [i for i, text in enumerate(tokens) if text in END_TEXTS and types[i] != TokenType.NORMAL]
    stated_bos = file.value("tokenizer.ggml.add_bos_token", bool)
    return Vocabulary(
        model=model,
        pre=pre,
        tokens=tokens,
        types=types,
        bos_id=_token(file, "bos", len(tokens), bos),
        eos_id=eos_id,
        unk_id=_token(file, "unknown", len(tokens), unk),
        pad_id=_token(file, "padding", len(tokens)),
        end_ids=tuple(dict.fromkeys(token for token in [*named, *texts] if token is not None)),
        add_bos=add_bos if stated_bos is None else stated_bos,
        add_eos=bool(file.value("tokenizer.ggml.add_eos_token", bool)),
    )


def _pre_tokenizer(file: GGUFFile) -> str:
    pre = file.value("tokenizer.ggml.pre", str)
    if pre is None:
        raise CheckpointError(
            f"{file.path.name}: tokenizer.ggml.pre is missing, so how text is split is not known; convert the original "
            "with a llama.cpp of May 2024 or later"
        )
    if pre not in BYTE_LEVEL:
        raise CheckpointError(
            f"{file.path.name}: tokenizer.ggml.pre = {pre!r}{closest(pre, BYTE_LEVEL)}; accepted: "
            f"{', '.join(BYTE_LEVEL)}"
        )
    return pre


def _types(file: GGUFFile, n_tokens: int) -> list[TokenType]:
    numbers = file.array("tokenizer.ggml.token_type", int)
    if numbers is None:
        return [TokenType.NORMAL] * n_tokens
    if len(numbers) != n_tokens:
        raise CheckpointError(f"{file.path.name}: {len(numbers)} tokenizer.ggml.token_type for {n_tokens} tokens")
    try:
        return [TokenType(number) for number in numbers]
    except ValueError as error:
        raise CheckpointError(f"{file.path.name}: tokenizer.ggml.token_type: {error}; accepted: 1 to 6") from None


def _token(file: GGUFFile, name: str, n_tokens: int, default: int | None = None) -> int | None:
    token = file.value(f"tokenizer.ggml.{name}_token_id", int)
    if token is None:
        return default if default is not None and default < n_tokens else None
    if token == NO_TOKEN:
        return None
    if not 0 <= token < n_tokens:
        raise CheckpointError(f"{file.path.name}: tokenizer.ggml.{name}_token_id = {token}, but there are {n_tokens}")
    return token
