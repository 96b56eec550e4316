"""Byte-level BPE: tiktoken merges the bytes of every pre-token."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import tiktoken

from lampe.tokenizers.base import Tokenizer
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.merges import PairMerger
from lampe.tokenizers.special import AddedTokens, Roles
from lampe.tokenizers.splitting import Splitter

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]
_BYTES = [bytes([value]) for value in range(256)]
_NO_ID = -1


@dataclass(frozen=True)
class BytePairVocabulary:
    """What byte-level BPE needs to know.

    Attributes:
        ids: the id of every ordinary token.
        ranks: the rank of every token that merges make, single bytes aside; None where rank alone does not say which
            merge comes first.
        merges: pairs, the most urgent first; needed without ranks, and where a byte has no token.
        patterns: split patterns, applied one after another.
        normal_forms: Unicode normal forms, applied before splitting.
        whole: ids of the texts that become one token if they are a whole pre-token, whatever the merges say.
        unknown_id: stands for a byte that has no token; without it such a byte is left out.
        fuse_unknown: several unknown bytes in a row are one.
    """

    ids: Mapping[bytes, int]
    ranks: Mapping[bytes, int] | None
    patterns: Sequence[str]
    merges: Sequence[tuple[bytes, bytes]] = ()
    normal_forms: Sequence[NormalForm] = ()
    whole: Mapping[str, int] = field(default_factory=dict)
    unknown_id: int | None = None
    fuse_unknown: bool = False


class TiktokenTokenizer(Tokenizer):
    """Byte-level BPE as Llama 3, Qwen and SmolLM2 use it.

    Pre-tokens that tiktoken cannot merge exactly (those with a byte that has no token, and all if merges are no
    matter of rank) are merged pair by pair, which is slower but no different.
    """

    def __init__(self, vocabulary: BytePairVocabulary, *, added: AddedTokens, roles: Roles, files: TokenizerFiles):
        """Args: as `Tokenizer`, with the vocabulary for the tokens."""
        tokens: list[bytes | None] = [None] * (max(vocabulary.ids.values()) + 1)
        for token, token_id in vocabulary.ids.items():
            tokens[token_id] = token
        self._vocabulary = vocabulary
        super().__init__(tokens=tokens, added=added, roles=roles, files=files)
        self._splitter = Splitter(vocabulary.patterns)
        self._merger = PairMerger(vocabulary.merges)
        self._pairwise = lru_cache(maxsize=1 << 16)(self._merge_pairs)
        # tiktoken wants a rank for each byte; it never compares those, and numbers its output by rank.
        ordered = [*_BYTES, *sorted(vocabulary.ranks or (), key=(vocabulary.ranks or {}).__getitem__)]
        self._id_of_rank = [vocabulary.ids.get(token, _NO_ID) for token in ordered]
        self._encoding = tiktoken.Encoding(
            "lampe",
            pat_str=r"[\s\S]+",
            mergeable_ranks={token: rank for rank, token in enumerate(ordered)},
            special_tokens={},
        )

    def _normalize(self, text: str) -> str:
        for form in self._vocabulary.normal_forms:
            text = unicodedata.normalize(form, text)
        return text

    def _encode_ordinary(self, text: str, at_start: bool) -> list[int]:
        pieces = self._splitter.split(text)
        if self._vocabulary.ranks is None or self._vocabulary.whole:
            return [token_id for piece in pieces for token_id in self._encode_piece(piece)]
        ids = self._merge_by_rank(pieces)
        return ids if _NO_ID not in ids else [token_id for piece in pieces for token_id in self._encode_piece(piece)]

    def _merge_by_rank(self, pieces: Iterable[str]) -> list[int]:
        merge, id_of_rank = self._encoding.encode_ordinary, self._id_of_rank
        return [id_of_rank[rank] for piece in pieces for rank in merge(piece)]

    def _encode_piece(self, piece: str) -> Sequence[int]:
        whole = self._vocabulary.whole.get(piece)
        if whole is not None:
            return (whole,)
        if self._vocabulary.ranks is None:
            return self._pairwise(piece)
        ids = self._merge_by_rank([piece])
        return ids if _NO_ID not in ids else self._pairwise(piece)

    def _merge_pairs(self, piece: str) -> tuple[int, ...]:
        known = self._vocabulary
        runs: list[list[bytes]] = [[]]
        for value in piece.encode():
            if _BYTES[value] in known.ids:
                runs[-1].append(_BYTES[value])
            elif known.unknown_id is not None:
                runs.append([])
        ids: list[int] = []
        for index, run in enumerate(runs):
            fused = known.fuse_unknown and index > 1 and not runs[index - 1]
            if index and not fused and known.unknown_id is not None:
                ids.append(known.unknown_id)
            ids += [known.ids[token] for token in self._merger.merge(run)]
        return tuple(ids)
