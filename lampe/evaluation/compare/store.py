"""The file that holds every score of an experiment, written so that a kill at any moment loses none of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from lampe.errors import ConfigError, explain
from lampe.evaluation.base import Record
from lampe.files import write_whole

RESULTS, TIMINGS, LOCK = "results.jsonl", "timings.jsonl", ".lock"


def key_of(record: Record) -> str:
    """What tells a record from all others of its experiment, in 16 hexadecimal digits."""
    return make_key(
        record.setting.model,
        record.setting.label,
        record.name,
        record.length,
        record.trial,
        dict(record.facts),
        record.prompt_sha256,
    )


def make_key(model: str, label: str, name: str, length: int, trial: int, facts: dict[str, Any], prompt: str) -> str:
    """The key of the record that a sample will have; see `key_of`."""
    parts = [model, label, name, length, trial, sorted(facts.items()), prompt]
    return sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:16]


class Store:
    """The records of an experiment in `results.jsonl`, one a line, and how long each took in `timings.jsonl`.

    A record is appended, and brought to the disk, as soon as it is made. A kill in the middle of that leaves half a
    line, which the next start takes off. Results hold nothing that differs from run to run, so a file that was put
    together from many runs equals that of one.

    Use it as a context manager: the folder is locked against a second writer as long as it is open.

    Args:
        folder: made where it is missing.

    Raises:
        ConfigError: it is a file, is being written by another process, or holds a line that is no record.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"{folder} is a file: a folder for the results would be accepted")
        self._stack = contextlib.ExitStack()
        self.records: dict[str, Record] = {}

    @property
    def path(self) -> Path:
        """The results file."""
        return self.folder / RESULTS

    def __enter__(self) -> Store:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(_locked(self.folder / LOCK))
        try:
            for name in (RESULTS, TIMINGS):
                _take_off_half_a_line(self.folder / name)
            self.records = {key_of(record): record for record in read_records(self.path)}
            files = [
                self._stack.enter_context((self.folder / name).open("ab", buffering=0)) for name in (RESULTS, TIMINGS)
            ]
        except BaseException:
            self._stack.close()
            raise
        self._results, self._timings = files
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, record: Record) -> None:
        """Append a record; it is on the disk when this returns."""
        key = key_of(record)
        self._timings.write(json.dumps({"key": key, "seconds": round(record.seconds, 4)}).encode() + b"\n")
        _write_line(self._results.fileno(), _line(record))
        self.records[key] = record

    def seconds(self) -> dict[str, float]:
        """How long each record took, by its key.

        Raises:
            ConfigError: a line says no such thing.
        """
        path = self.folder / TIMINGS
        lines = path.read_bytes().splitlines() if path.exists() else []
        return dict(_timing(line, f"{path} line {number}") for number, line in enumerate(lines, start=1))

    def arrange(self, keys: Iterable[str]) -> None:
        """Bring the file into the order of the keys, if it is not: it is there whole, before or after."""
        wanted = [self.records[key] for key in keys if key in self.records]
        content = b"".join(map(_line, wanted))
        if len(wanted) != len(self.records):
            raise ValueError(f"{len(self.records) - len(wanted)} records have no place in that order")
        if self.path.read_bytes() == content:
            return
        write_whole(self.path, content)
        self._results = self._stack.enter_context(self.path.open("ab", buffering=0))


def read_records(path: str | Path) -> Iterator[Record]:
    """The records of a results file, in its order; half a line at its end is left out.

    Raises:
        ConfigError: a whole line is no record.
    """
    path = Path(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Record.model_validate_json(line)
            except ValidationError as error:
                raise ConfigError(explain(error, f"{path} line {number} is no record", Record.model_fields)) from None


def _timing(line: bytes, where: str) -> tuple[str, float]:
    """A key and its seconds."""
    try:
        item = json.loads(line)
        return str(item["key"]), float(item["seconds"])
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f"{where} is no timing: delete the file, which only helps to guess how long the rest takes"
        ) from None


def _line(record: Record) -> bytes:
    # JSON has no infinity and no NaN: a score that is neither number becomes null.
    return to_json(record.model_dump(mode="python", exclude={"seconds"}), inf_nan_mode="null") + b"\n"


def _write_line(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]
    os.fsync(file)


def _take_off_half_a_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows: nothing guards against a second writer there.
        yield
        return
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{path.parent} is being written by another process; wait for it, or take another folder"
            ) from None
        yield
