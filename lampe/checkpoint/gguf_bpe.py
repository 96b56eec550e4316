"""Byte-level BPE of a GGUF file as a tokenizer.json of the `tokenizers` library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lampe.errors import CheckpointError

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class ByteLevel:
    """What a value of tokenizer.ggml.pre stands for.

    Attributes:
        split: the pattern that cuts text into words; None for GPT-2's own, which `tokenizers` has built in.
        single_digits: cut out every digit first.
        nfc: compose characters first.
        ignore_merges: a word that is a token is that token, whatever the merges say.
        add_bos: begin with BOS where the file does not say (llama.cpp's default).
    """

    split: str | None = None
    single_digits: bool = False
    nfc: bool = False
    ignore_merges: bool = False
    add_bos: bool = False


_LLAMA_BPE = ByteLevel(split=_LLAMA3, ignore_merges=True, add_bos=True)
BYTE_LEVEL = {
    "gpt-2": ByteLevel(),
    "llama-bpe": _LLAMA_BPE,
    "llama-v3": _LLAMA_BPE,
    "llama3": _LLAMA_BPE,
    "qwen2": ByteLevel(split=_QWEN2, nfc=True),
    "smollm": ByteLevel(single_digits=True),
    "tekken": ByteLevel(split=_TEKKEN, ignore_merges=True, add_bos=True),
}


def tokenizer_json(
    pre: str,
    vocabulary: dict[str, int],
    merges: list[str],
    added: list[dict[str, Any]],
    prefix: int | None,
    suffix: int | None,
) -> dict[str, Any]:
    """The content of tokenizer.json.

    Args:
        pre: a key of `BYTE_LEVEL`.
        vocabulary: tokens in GPT-2's printable alphabet to ids, the added ones included.
        merges: "left right", the first to be applied first.
        added: the added tokens, as tokenizer.json lists them.
        prefix: the token that every text begins with, if any (BOS).
        suffix: the token that every text ends with, if any (EOS).

    Raises:
        CheckpointError: a merge that is no pair of tokens, or whose result is no token.
    """
    for merge in merges:
        left, _, right = merge.partition(" ")
        if left not in vocabulary or right not in vocabulary or left + right not in vocabulary:
            raise CheckpointError(f"tokenizer.ggml.merges: {merge!r} does not join two tokens to a third")
    rules = BYTE_LEVEL[pre]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"} if rules.nfc else None,
        "pre_tokenizer": _pre_tokenizer(rules, byte_level),
        "post_processor": _post_processor(byte_level, vocabulary, prefix, suffix),
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": rules.ignore_merges,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _pre_tokenizer(rules: ByteLevel, byte_level: dict[str, Any]) -> dict[str, Any]:
    if rules.split is not None:
        split = {"type": "Split", "pattern": {"Regex": rules.split}, "behavior": "Isolated", "invert": False}
        return {"type": "Sequence", "pretokenizers": [split, {**byte_level, "use_regex": False}]}
    if rules.single_digits:
        return {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]}
    return byte_level


def _post_processor(
    byte_level: dict[str, Any], vocabulary: dict[str, int], prefix: int | None, suffix: int | None
) -> dict[str, Any]:
    if prefix is None and suffix is None:
        return byte_level
    texts = {token: text for text, token in vocabulary.items() if token in (prefix, suffix)}

    def around(sequence: str, type_id: int) -> list[dict[str, Any]]:
        before = [] if prefix is None else [{"SpecialToken": {"id": texts[prefix], "type_id": type_id}}]
        after = [] if suffix is None else [{"SpecialToken": {"id": texts[suffix], "type_id": type_id}}]
        return [*before, {"Sequence": {"id": sequence, "type_id": type_id}}, *after]

    template = {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": [*around("A", 0), *around("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [token], "tokens": [text]} for token, text in texts.items()},
    }
    return {"type": "Sequence", "processors": [byte_level, template]}
