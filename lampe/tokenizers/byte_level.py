"""A byte-level BPE tokenizer from `tokenizer.json`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lampe.errors import TokenizerError
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.merges import provable_ranks
from lampe.tokenizers.special import AddedTokens, read_added_tokens, read_roles
from lampe.tokenizers.splitting import GPT2_PATTERN
from lampe.tokenizers.tiktoken import BytePairVocabulary, NormalForm, TiktokenTokenizer
from lampe.tokenizers.tokenizer_json import NAME, ByteLevel, ByteLevelDecoder, Digits, Split, TokenizerJson, UnicodeForm


def _byte_characters() -> dict[str, int]:
    """The printable character with which GPT-2 writes each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [value for value in range(256) if value not in printable]
    return {chr(value): value for value in printable} | {chr(256 + n): value for n, value in enumerate(others)}


_BYTE_OF = _byte_characters()
# Characters that stand for no byte go where Latin-1 cannot follow.
_TO_LATIN1 = str.maketrans(
    {chr(value): "\uffff" for value in range(256)} | {char: chr(value) for char, value in _BYTE_OF.items()}
)


def load_byte_level(files: TokenizerFiles, document: TokenizerJson) -> TiktokenTokenizer:
    """Build the tokenizer that a byte-level tokenizer.json describes.

    Raises:
        TokenizerError: a part of it is not understood, or contradicts another.
    """
    added = read_added_tokens(files, listed=document.added_tokens)
    model = document.model
    for content, token_id in added.ids.items():
        known = model.vocab.get(content, token_id)
        if known != token_id:
            raise TokenizerError(f"{NAME}: {content!r} is id {known} in the vocabulary, {token_id} as an added token")
    vocabulary = _vocabulary(document, added)
    roles = read_roles(files, {**model.vocab, **added.ids}, document.default_roles(added.special))
    return TiktokenTokenizer(vocabulary, added=added, roles=roles, files=files)


def _vocabulary(document: TokenizerJson, added: AddedTokens) -> BytePairVocabulary:
    model = document.model
    spelled = {text: token for text in model.vocab if (token := _bytes(text)) is not None}
    ids = {token: model.vocab[text] for text, token in spelled.items()}
    if len(set(ids.values())) < len(ids):
        raise TokenizerError(f"{NAME}: two tokens of the vocabulary have the same id")
    merges = [(spelled[left], spelled[right]) for left, right in model.pairs() if left in spelled and right in spelled]
    atoms = {token for token in ids if len(token) == 1}
    ranks = provable_ranks(merges, atoms, reachable=not model.ignore_merges)
    every = {**added.ids, **model.vocab}
    if model.unk_token is not None and model.unk_token not in every:
        raise TokenizerError(f"{NAME}: model.unk_token {model.unk_token!r} is not in the vocabulary")
    return BytePairVocabulary(
        ids=ids,
        ranks=ranks,
        merges=merges if ranks is None or len(atoms) < 256 else (),
        patterns=_patterns(document),
        normal_forms=_normal_forms(document),
        whole=_whole(ids, ranks) if model.ignore_merges else {},
        unknown_id=None if model.unk_token is None else every[model.unk_token],
        fuse_unknown=model.fuse_unk,
    )


def _bytes(text: str) -> bytes | None:
    """The bytes that a token is written for; None when it is no byte-level token."""
    try:
        return text.translate(_TO_LATIN1).encode("latin-1") or None
    except UnicodeEncodeError:
        return None


def _whole(ids: Mapping[bytes, int], ranks: Mapping[bytes, int] | None) -> dict[str, int]:
    """The texts that `ignore_merges` turns into one token, unless merging by rank does so anyway."""
    if ranks is not None and all(len(token) == 1 or token in ranks for token in ids):
        return {}
    # A pre-token is text, so tokens that are not UTF-8 are never a whole one.
    texts = {token.decode(errors="replace"): token_id for token, token_id in ids.items()}
    return {text: token_id for text, token_id in texts.items() if ids.get(text.encode()) == token_id}


def _patterns(document: TokenizerJson) -> list[str]:
    steps = document.pre_tokenizers
    names = [step.type for step in steps]
    if names.index("ByteLevel") != len(names) - 1:
        raise TokenizerError(f"{NAME}: pre_tokenizer is {', '.join(names)}; ByteLevel must come once, as the last")
    if any(not isinstance(step, ByteLevelDecoder) for step in document.decoders) or not document.decoders:
        raise TokenizerError(f"{NAME}: a byte-level tokenizer needs the decoder ByteLevel")
    patterns = []
    for step in steps:
        if isinstance(step, Digits):
            patterns.append(r"\p{N}" if step.individual_digits else r"\p{N}+")
        elif isinstance(step, ByteLevel):
            patterns += [GPT2_PATTERN] if step.use_regex else []
        elif isinstance(step, Split):
            patterns.append(step.pattern.Regex or re.escape(step.pattern.String or ""))
        else:
            raise TokenizerError(f"{NAME}: pre_tokenizer {step.type} does not go with ByteLevel")
    return patterns


def _normal_forms(document: TokenizerJson) -> list[NormalForm]:
    forms: list[NormalForm] = []
    for step in document.normalizers:
        if not isinstance(step, UnicodeForm):
            raise TokenizerError(f"{NAME}: normalizer {step.type} does not go with ByteLevel")
        forms.append(step.type)
    return forms
