"""What lampe reads in a serialised sentencepiece model.

The wire format is that of https://protobuf.dev/programming-guides/encoding, the fields are those of sentencepiece's
`sentencepiece_model.proto`; reading them here spares a dependency on protobuf and its generated code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lampe.errors import TokenizerError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
BYTE_TEXTS = {f"<0x{value:02X}>": value for value in range(256)}
_PIECES, _NORMALIZER = 1, 3  # fields of ModelProto
_TEXT, _KIND = 1, 3  # fields of SentencePiece
_ADD_DUMMY_PREFIX, _REMOVE_EXTRA_WHITESPACES = 3, 4  # fields of NormalizerSpec
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# normalizer_spec { add_dummy_prefix: false }
_NO_DUMMY_PREFIX = bytes([_NORMALIZER << 3 | _LENGTH, 2, _ADD_DUMMY_PREFIX << 3 | _VARINT, 0])


@dataclass(frozen=True)
class Piece:
    """One piece of a model; `kind` is normal unless a constant of this module says otherwise."""

    text: str
    kind: int = NORMAL


@dataclass(frozen=True)
class PieceModel:
    """A model and what lampe reads in it.

    Attributes:
        data: serialised ModelProto.
        pieces: one for every id.
        adds_prefix: sentencepiece puts a space before every text.
    """

    data: bytes
    pieces: tuple[Piece, ...]
    adds_prefix: bool

    @property
    def data_without_prefix(self) -> bytes:
        """The model with the space before every text turned off."""
        # A message that comes twice in a protocol buffer is merged, the later fields winning.
        return self.data + _NO_DUMMY_PREFIX


def read_model(data: bytes) -> PieceModel:
    """Read a serialised model.

    Raises:
        TokenizerError: it is corrupt, or removes whitespace from texts.
    """
    pieces: list[Piece] = []
    normalizer: dict[int, int | bytes] = {}
    try:
        for number, value in _fields(data):
            if number == _PIECES:
                pieces.append(_piece(dict(_fields(_message(value)))))
            elif number == _NORMALIZER:
                normalizer.update(_fields(_message(value)))
    except ValueError as error:
        raise TokenizerError(f"tokenizer.model is neither a sentencepiece model nor a rank file: {error}") from None
    if not pieces:
        raise TokenizerError("tokenizer.model is neither a sentencepiece model nor a rank file: it holds no pieces")
    if normalizer.get(_REMOVE_EXTRA_WHITESPACES, 1):
        raise TokenizerError("tokenizer.model removes extra whitespace from texts; no Llama or Mistral model does")
    return PieceModel(data, tuple(pieces), bool(normalizer.get(_ADD_DUMMY_PREFIX, 1)))


def _piece(values: Mapping[int, int | bytes]) -> Piece:
    kind = values.get(_KIND, NORMAL)
    return Piece(_message(values.get(_TEXT, b"")).decode(), kind if isinstance(kind, int) else NORMAL)


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"the number {value} stands where a message is expected")
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            length, at = _read_varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"field {number} runs past the end")
        yield number, message[at : at + length]
        at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError(f"a broken number at byte {at}")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
