"""The sentencepiece vocabulary of a GGUF file as a tokenizer.model.

The file is a protobuf message: ModelProto of
https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto. The Python module that sentencepiece
brings for it needs a protobuf runtime of its own version, so the few fields of a BPE tokenizer are encoded here
(https://protobuf.dev/programming-guides/encoding/), and sentencepiece itself reads them back.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lampe.errors import CheckpointError

# Wire types, and the field numbers of ModelProto and of the messages inside it.
VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5
PIECES, TRAINER_SPEC, NORMALIZER_SPEC = 1, 2, 3
PIECE_TEXT, PIECE_SCORE, PIECE_TYPE = 1, 2, 3
MODEL_TYPE, VOCAB_SIZE, BYTE_FALLBACK = 3, 4, 35
TOKEN_IDS = {"unk": 40, "bos": 41, "eos": 42, "pad": 43}
TOKEN_TEXTS = {"unk": 45, "bos": 46, "eos": 47, "pad": 48}
NAME, ADD_DUMMY_PREFIX, REMOVE_EXTRA_WHITESPACES, ESCAPE_WHITESPACES = 1, 3, 4, 5

BPE = 2
BYTE = 6


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; `type` is sentencepiece's (1 normal, 2 unknown, 3 control, 4 user-defined, ...)."""

    text: str
    score: float
    type: int


def sentencepiece_model(
    pieces: Sequence[Piece], special: Mapping[str, str], *, add_dummy_prefix: bool, remove_extra_whitespaces: bool
) -> bytes:
    """The bytes of a BPE tokenizer.model without normalisation rules.

    Args:
        pieces: by id.
        special: "bos", "eos", "unk" and "pad" to the texts of their pieces, where there are such.
        add_dummy_prefix: put a space before every text.
        remove_extra_whitespaces: join runs of spaces, drop them at both ends.

    Raises:
        CheckpointError: sentencepiece does not accept the pieces.
    """
    ids = {piece.text: index for index, piece in enumerate(pieces)}
    trainer: dict[int, int | str] = {
        MODEL_TYPE: BPE,
        VOCAB_SIZE: len(pieces),
        BYTE_FALLBACK: any(piece.type == BYTE for piece in pieces),
    }
    for name, number in TOKEN_IDS.items():
        # Protobuf writes -1, sentencepiece's "none", as an unsigned number of 64 bits.
        trainer[number] = ids.get(special.get(name, ""), -1) % 2**64
    trainer |= {number: special[name] for name, number in TOKEN_TEXTS.items() if name in special}
    normalizer: dict[int, int | str] = {
        NAME: "identity",
        ADD_DUMMY_PREFIX: add_dummy_prefix,
        REMOVE_EXTRA_WHITESPACES: remove_extra_whitespaces,
        ESCAPE_WHITESPACES: True,
    }
    model = b"".join(
        _field(PIECES, _message({PIECE_TEXT: piece.text, PIECE_SCORE: piece.score, PIECE_TYPE: piece.type}))
        for piece in pieces
    )
    model += _field(TRAINER_SPEC, _message(trainer)) + _field(NORMALIZER_SPEC, _message(normalizer))
    _check(model)
    return model


def _message(fields: Mapping[int, int | float | str]) -> bytes:
    return b"".join(_field(number, value) for number, value in fields.items())


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, float):
        return _varint(number << 3 | FIXED32) + struct.pack("<f", value)
    if isinstance(value, int):
        return _varint(number << 3 | VARINT) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _check(model: bytes) -> None:
    from sentencepiece import SentencePieceProcessor

    try:
        SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise CheckpointError(f"tokenizer.ggml.tokens: sentencepiece does not accept these pieces: {error}") from None
