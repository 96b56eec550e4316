"""sentencepiece models: Llama 1 and 2, Mistral, Yi, TinyLlama."""

from __future__ import annotations

import sentencepiece

from lampe.errors import TokenizerError
from lampe.tokenizers.base import Tokenizer
from lampe.tokenizers.files import TokenizerFiles
from lampe.tokenizers.sentencepiece_model import (
    BYTE,
    BYTE_TEXTS,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    PieceModel,
    read_model,
)
from lampe.tokenizers.spaces import SPACE, SpaceRule
from lampe.tokenizers.special import AddedToken, AddedTokens, Roles, read_added_tokens, read_roles
from lampe.tokenizers.tokenizer_json import NAME, TokenizerJson


class SentencePieceTokenizer(Tokenizer):
    """A sentencepiece model, with the added tokens and the space rule of the files beside it.

    A text comes back from its ids as it was, but for "▁", which comes back as a space, and for one space at the start
    of a text where the space rule does not double.
    """

    def __init__(self, model: PieceModel, rule: SpaceRule, *, added: AddedTokens, roles: Roles, files: TokenizerFiles):
        """Args: as `Tokenizer`, with the model for the tokens."""
        super().__init__(tokens=[_bytes(piece) for piece in model.pieces], added=added, roles=roles, files=files)
        self._rule = rule
        self._processor = _processor(model.data_without_prefix)
        self.drops_first_space = rule.strips

    def _encode_ordinary(self, text: str, at_start: bool) -> list[int]:
        ids: list[int] = self._processor.encode(self._rule.apply(text, at_start))
        return ids


def _processor(data: bytes) -> sentencepiece.SentencePieceProcessor:
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=data)
    except RuntimeError as error:
        raise TokenizerError(f"tokenizer.model is refused by sentencepiece: {error}") from None


def _bytes(piece: Piece) -> bytes:
    if piece.kind == BYTE and piece.text in BYTE_TEXTS:
        return bytes([BYTE_TEXTS[piece.text]])
    return piece.text.encode() if piece.kind in (CONTROL, UNKNOWN) else piece.text.replace(SPACE, " ").encode()


def load_sentencepiece(files: TokenizerFiles, document: TokenizerJson | None) -> SentencePieceTokenizer:
    """Build the tokenizer of a `tokenizer.model`.

    Args:
        document: the tokenizer.json beside it, which then says where a space is put and what surrounds a text.
            Without it tokenizer_config.json does, and else the model.

    Raises:
        TokenizerError: a file is broken, the two disagree, or a part is not understood.
    """
    model = read_model(files.contents["tokenizer.model"])
    if document is None:
        rule = SpaceRule.from_config(files, model_adds=model.adds_prefix)
    else:
        _compare(model, document)
        rule = SpaceRule.from_json(document)
    known = [
        AddedToken(id=index, content=piece.text, special=piece.kind != USER_DEFINED)
        for index, piece in enumerate(model.pieces)
        if piece.kind in (CONTROL, UNKNOWN, USER_DEFINED)
    ]
    added = read_added_tokens(files, known, document.added_tokens if document else ()).found_in_raw_text()
    ids = {**{piece.text: index for index, piece in enumerate(model.pieces)}, **added.ids}
    roles = read_roles(files, ids, _default_roles(model, document))
    return SentencePieceTokenizer(model, rule, added=added, roles=roles, files=files)


def _compare(model: PieceModel, document: TokenizerJson) -> None:
    for index, piece in enumerate(model.pieces):
        other = document.model.vocab.get(piece.text)
        if piece.kind == NORMAL and other != index:
            raise TokenizerError(
                f"tokenizer.model and {NAME} are of different tokenizers: {piece.text!r} is {index} and {other}; "
                "remove the one that is not of this checkpoint"
            )


def _default_roles(model: PieceModel, document: TokenizerJson | None) -> Roles:
    processor = _processor(model.data)
    found = {"bos_token": processor.bos_id(), "eos_token": processor.eos_id(), "unk_token": processor.unk_id()}
    found = {role: token_id for role, token_id in found.items() if token_id >= 0}
    texts = {role: model.pieces[token_id].text for role, token_id in found.items()}
    bos = found.get("bos_token")
    eos = (found["eos_token"],) if "eos_token" in found else ()
    if document is not None:
        return Roles(texts, bos, eos, *document.added_around())
    return Roles(texts, bos, eos, prefix=() if bos is None else (bos,), suffix=())
