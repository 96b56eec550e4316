"""A GGUF file opened for reading: metadata by type, tensors as float32 rows, a bounded number at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lampe.errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFReader, ReaderField, ReaderTensor

T = TypeVar("T", bool, int, float, str)

MAGIC = b"GGUF"
CHUNK_ELEMENTS = 4 << 20


@dataclass(frozen=True)
class GGUFTensor:
    """One tensor of a GGUF file, still quantised and on disk.

    Attributes:
        name: llama.cpp's name, e.g. "blk.0.attn_q.weight".
        kind: the storage type, e.g. "Q4_1".
        shape: slowest dimension first, as torch has it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    _stored: NDArray[Any]
    _type: GGMLQuantizationType

    def chunks(self, order: NDArray[np.intp] | None = None) -> Iterator[NDArray[np.float32]]:
        """Dequantise a few rows at a time.

        Args:
            order: the row of the file that each row of the result is; None leaves them as they are.

        Yields:
            float32, [rows, columns]; a vector comes whole.

        Raises:
            CheckpointError: gguf cannot dequantise this storage type.
        """
        if len(self.shape) < 2:
            vector = self._dequantise(self._stored)
            yield vector if order is None else vector[order]
            return
        rows = max(1, CHUNK_ELEMENTS // max(1, self.shape[-1]))
        for start in range(0, self.shape[0], rows):
            part = slice(start, start + rows)
            # Quantisation blocks lie along a row, so rows can be moved before they are dequantised.
            yield self._dequantise(self._stored[part] if order is None else self._stored[order[part]])

    def check_readable(self) -> None:
        """Raise CheckpointError unless gguf can dequantise this storage type."""
        self._dequantise(self._stored[:1] if len(self.shape) > 1 else self._stored)

    def _dequantise(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        from gguf import dequantize

        try:
            return np.asarray(dequantize(stored, self._type), dtype=np.float32)
        except NotImplementedError:
            raise CheckpointError(
                f"{self.name} is stored as {self.kind}, which the gguf package cannot dequantise; "
                "accepted: F32, F16, BF16 and the Q and IQ types it knows"
            ) from None


class GGUFFile:
    """The metadata and tensors of a GGUF file.

    Args:
        path: the file; it stays memory-mapped as long as the object lives.

    Attributes:
        architecture: llama.cpp's name of the architecture, e.g. "llama".
        metadata_keys: the names of all metadata entries.
        tensors: by llama.cpp's names, in the order of the file.

    Raises:
        MissingExtraError: the gguf package is not installed.
        CheckpointError: the file is absent, no GGUF file, truncated, one of several parts, or big-endian.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        reader = _read(self.path)
        self._fields = reader.fields
        self.metadata_keys = [name for name in reader.fields if not name.startswith("GGUF.")]
        self.architecture: str = self.required("general.architecture", str)
        self.tensors = {tensor.name: _tensor(tensor) for tensor in reader.tensors}
        parts = self.value("split.count", int) or 1
        if parts > 1:
            raise CheckpointError(
                f"{self.path.name} is one of {parts} parts (split.count); join them first with llama-gguf-split --merge"
            )

    def value(self, key: str, kind: type[T]) -> T | None:
        """A single value, or None where the file does not state it.

        Args:
            key: its name; "{arch}" in it stands for the architecture.
            kind: bool, int, float or str; floats come in their shortest decimal form, so 1e-5 is 1e-5.

        Raises:
            CheckpointError: the value is of another type.
        """
        name = key.format(arch=self.architecture) if key.startswith("{arch}") else key
        field = self._fields.get(name)
        if field is None:
            return None
        found = self._decoded(name, field)
        if kind is float and type(found) is int:
            found = float(found)
        if type(found) is float and not math.isfinite(found):
            raise CheckpointError(f"{self.path.name}: {name} = {found}, expected a finite number")
        if type(found) is not kind:
            raise CheckpointError(f"{self.path.name}: {name} = {_short(found)}, expected one {kind.__name__}")
        return found

    def required(self, key: str, kind: type[T]) -> T:
        """A single value that the file must state; raises CheckpointError otherwise."""
        found = self.value(key, kind)
        if found is None:
            name = key.replace("{arch}", getattr(self, "architecture", ""))
            raise CheckpointError(f"{self.path.name}: {name} is missing")
        return found

    def array(self, key: str, kind: type[T]) -> list[T] | None:
        """A list of values of one type, or None where the file does not state it.

        Raises:
            CheckpointError: it is no list, or of another type.
        """
        field = self._fields.get(key)
        if field is None:
            return None
        found = self._decoded(key, field)
        if not isinstance(found, list) or any(type(item) is not kind for item in found):
            raise CheckpointError(f"{self.path.name}: {key} = {_short(found)}, expected a list of {kind.__name__}")
        return found

    def _decoded(self, name: str, field: ReaderField) -> Any:
        from gguf import GGUFValueType

        kind = field.types[-1] if field.types else None
        parts = [field.parts[index] for index in field.data]
        if kind == GGUFValueType.STRING:
            try:
                values: list[Any] = [part.tobytes().decode() for part in parts]
            except UnicodeDecodeError:
                raise CheckpointError(f"{self.path.name}: {name} holds text that is not UTF-8") from None
        elif kind == GGUFValueType.FLOAT32:
            values = [float(str(item)) for part in parts for item in part]
        else:
            values = [item for part in parts for item in part.tolist()]
        return values if field.types[0] == GGUFValueType.ARRAY else values[0]


def _read(path: Path) -> GGUFReader:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtraError("gguf", "gguf", "reading a GGUF file") from None
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a GGUF file")
    with path.open("rb") as stream:
        start = stream.read(len(MAGIC))
    if start != MAGIC:
        raise CheckpointError(f"{path.name} is no GGUF file: it starts with {start!r}, not {MAGIC!r}")

    class BoundedReader(GGUFReader):
        """Refuses to read past the end, where GGUFReader finds empty arrays and goes on for as many as are claimed."""

        def _get(self, offset: int, dtype: Any, count: Any = 1, *order: Any, **named_order: Any) -> NDArray[Any]:
            end = int(offset) + int(count) * np.dtype(dtype).itemsize
            if end > self.data.size:
                raise IndexError(f"it has {self.data.size} bytes, but says that there are at least {end}")
            return super()._get(offset, dtype, count, *order, **named_order)

    try:
        reader = BoundedReader(path)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise CheckpointError(f"{path.name} is truncated or damaged: {error}") from None
    if reader.byte_order != "I":
        raise CheckpointError(f"{path.name} is a big-endian GGUF file; only little-endian ones are read")
    return reader


def _tensor(tensor: ReaderTensor) -> GGUFTensor:
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return GGUFTensor(tensor.name, tensor.tensor_type.name, shape, tensor.data, tensor.tensor_type)


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value[:8] if isinstance(value, list) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
