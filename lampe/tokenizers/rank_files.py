"""Rank files: a token in base64 and its rank on every line, as Meta ships Llama 3 and Alibaba the first Qwen."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lampe.errors import TokenizerError
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.special import AddedToken, Roles, read_added_tokens, read_roles
from lampe.tokenizers.splitting import LLAMA3_PATTERN, QWEN_PATTERN
from lampe.tokenizers.tiktoken import BytePairVocabulary, NormalForm, TiktokenTokenizer

_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\r?\n")


@dataclass(frozen=True)
class RankScheme:
    """What a rank file leaves to the code beside it.

    Attributes:
        special: the special tokens, whose ids follow the ranks.
        bos: the token put before a text, if any.
        eos: the tokens that end a text.
    """

    name: str
    n_ranks: int
    pattern: str
    special: Sequence[str]
    bos: str | None
    eos: Sequence[str]
    normal_forms: Sequence[NormalForm] = ()


def _llama3_special() -> list[str]:
    named = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>",
        "<|finetune_right_pad_id|>",
        "<|step_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
        "<|image|>",
    ]
    return named + [f"<|reserved_special_token_{n}|>" for n in range(2, 2 + 256 - len(named))]


# Both as in the publishers' own code: llama_models/llama3/tokenizer.py and Qwen's tokenization_qwen.py.
LLAMA3 = RankScheme(
    "Llama 3",
    128_000,
    LLAMA3_PATTERN,
    _llama3_special(),
    "<|begin_of_text|>",
    ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
)
QWEN = RankScheme(
    "Qwen",
    151_643,
    QWEN_PATTERN,
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{n}|>" for n in range(205))],
    None,
    ("<|endoftext|>", "<|im_end|>"),
    ("NFC",),
)


def is_rank_file(data: bytes) -> bool:
    """Whether the first line is a token in base64 and its rank."""
    return _LINE.match(data) is not None


def parse_ranks(data: bytes, name: str) -> dict[bytes, int]:
    """Read a rank file.

    Raises:
        TokenizerError: a line is broken, a rank or token comes twice, ranks have a gap, or a byte is missing.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise TokenizerError(f"{name}, line {number}: {line[:40]!r} is not a base64 token and its rank") from None
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise TokenizerError(f"{name}: the ranks are not 0 to {len(ranks) - 1}, each once; the file may be truncated")
    missing = [value for value in range(256) if bytes([value]) not in ranks]
    if missing:
        raise TokenizerError(f"{name}: the byte {missing[0]:#04x} has no token")
    return ranks


def load_rank_file(files: TokenizerFiles, name: str, scheme: RankScheme) -> TiktokenTokenizer:
    """Build a tokenizer from a rank file; a tokenizer_config.json beside it may rename special tokens.

    Raises:
        TokenizerError: the file is broken, or is not the one `scheme` describes.
    """
    ranks = parse_ranks(files.contents[name], name)
    if len(ranks) != scheme.n_ranks:
        raise TokenizerError(
            f"{name} has {len(ranks)} ranks, {scheme.name}'s has {scheme.n_ranks}; "
            "lampe needs the tokenizer.json of this checkpoint"
        )
    special = {token: len(ranks) + index for index, token in enumerate(scheme.special)}
    known = [AddedToken(id=token_id, content=token, special=True) for token, token_id in special.items()]
    added = read_added_tokens(files, known)
    bos = None if scheme.bos is None else special[scheme.bos]
    default = Roles(
        texts={} if scheme.bos is None else {"bos_token": scheme.bos},
        bos_id=bos,
        eos_ids=tuple(special[token] for token in scheme.eos),
        prefix=() if bos is None else (bos,),
        suffix=(),
    )
    vocabulary = BytePairVocabulary(
        ids=ranks,
        ranks={token: rank for token, rank in ranks.items() if len(token) > 1},
        patterns=[scheme.pattern],
        normal_forms=scheme.normal_forms,
    )
    return TiktokenTokenizer(vocabulary, added=added, roles=read_roles(files, added.ids, default), files=files)
