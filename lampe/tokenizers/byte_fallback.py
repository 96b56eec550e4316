"""A sentencepiece BPE that was rewritten as `tokenizer.json`: merges of characters, and bytes for unknown ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from lampe.errors import TokenizerError
from lampe.tokenizers.base import Tokenizer
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.merges import PairMerger, inner_bigrams
from lampe.tokenizers.sentencepiece_model import BYTE_TEXTS
from lampe.tokenizers.spaces import SPACE, SpaceRule
from lampe.tokenizers.special import AddedTokens, Roles, read_added_tokens, read_roles
from lampe.tokenizers.tokenizer_json import BPE, NAME, TokenizerJson

_BYTE_TEXT_OF = {value: text for text, value in BYTE_TEXTS.items()}


class ByteFallbackTokenizer(Tokenizer):
    """BPE over characters, merged pair by pair.

    Nothing is split off before merging; but no merge crosses two characters that stand side by side in no token, so
    the text is cut there and each piece merged once.
    """

    def __init__(self, model: BPE, rule: SpaceRule, *, added: AddedTokens, roles: Roles, files: TokenizerFiles):
        """Args: as `Tokenizer`, with the model for the tokens."""
        tokens: list[bytes | None] = [None] * (max(model.vocab.values()) + 1)
        for text, token_id in model.vocab.items():
            known = text in BYTE_TEXTS
            tokens[token_id] = bytes([BYTE_TEXTS[text]]) if known else text.replace(SPACE, " ").encode()
        super().__init__(tokens=tokens, added=added, roles=roles, files=files)
        pairs = model.pairs()
        self._ids = model.vocab
        self._rule = rule
        self._merger = PairMerger(pairs)
        self._inner = inner_bigrams({left + right for left, right in pairs})
        self._piece_ids = lru_cache(maxsize=1 << 16)(self._merge_piece)
        self.drops_first_space = rule.strips

    def _encode_ordinary(self, text: str, at_start: bool) -> list[int]:
        spaced = self._rule.apply(text, at_start).replace(" ", SPACE)
        return [token_id for piece in self._cut(spaced) for token_id in self._piece_ids(piece)]

    def _cut(self, text: str) -> Iterator[str]:
        inner = self._inner
        start = 0
        for at in range(1, len(text)):
            if text[at - 1 : at + 1] not in inner:
                yield text[start:at]
                start = at
        yield text[start:]

    def _merge_piece(self, piece: str) -> tuple[int, ...]:
        parts: list[str] = []
        for character in piece:
            known = character in self._ids
            parts += [character] if known else [_BYTE_TEXT_OF[value] for value in character.encode()]
        return tuple(self._ids[token] for token in self._merger.merge(parts))


def load_byte_fallback(files: TokenizerFiles, document: TokenizerJson) -> ByteFallbackTokenizer:
    """Build the tokenizer of a tokenizer.json that was made from a sentencepiece BPE.

    Raises:
        TokenizerError: it is not such a one, or a part of it is not understood.
    """
    model = document.model
    absent = [text for text in BYTE_TEXTS if text not in model.vocab]
    if absent or not model.byte_fallback:
        what = f"the byte token {absent[0]!r} is missing" if absent else "byte_fallback is false"
        raise TokenizerError(
            f"{NAME}: no pre_tokenizer is ByteLevel, and {what}; lampe reads BPE that covers all bytes"
        )
    if model.ignore_merges:
        raise TokenizerError(f"{NAME}: ignore_merges = true is understood with the pre_tokenizer ByteLevel only")
    added = read_added_tokens(files, listed=document.added_tokens).found_in_raw_text()
    roles = read_roles(files, {**model.vocab, **added.ids}, document.default_roles(added.special))
    return ByteFallbackTokenizer(model, SpaceRule.from_json(document), added=added, roles=roles, files=files)
