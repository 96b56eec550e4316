"""The files of a benchmark: a JSON object a line, and a sentence for whatever is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lampe.errors import ConfigError


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        where: how an error names it.
        record: what it holds.
    """

    where: str
    record: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field that holds a text.

        Raises:
            ConfigError: it is missing or holds something else.
        """
        value = self.record.get(name)
        if not isinstance(value, str):
            raise ConfigError(f"{self.where}: the field {name!r} is missing or no text")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that holds a list of texts.

        Raises:
            ConfigError: it is missing or holds something else.
        """
        value = self.record.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.where}: the field {name!r} is missing or no list of texts")
        return value


def read_lines(folder: str | Path, name: str, task: str) -> Iterator[Line]:
    """The objects of a JSONL file; empty lines are passed over.

    Args:
        folder: as the config says, in the field `data`.
        name: of the file in it.
        task: its name, for the sentences.

    Raises:
        ConfigError: there is no such folder or file, it holds no object, or a line is no JSON object in UTF-8.
    """
    path = Path(folder) / name
    subject = f"task {task!r}"
    if not path.parent.is_dir():
        raise ConfigError(f"{subject}: data = {str(folder)!r}: there is no such folder")
    if not path.is_file():
        raise ConfigError(f"{subject}: data = {str(folder)!r}: the folder holds no {name}")
    empty = True
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{subject}: line {number} of {path}"
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{where} is no JSON: {error}") from None
            if not isinstance(record, dict):
                raise ConfigError(f"{where} holds a JSON {type(record).__name__}: an object would be accepted")
            empty = False
            yield Line(where, record)
    if empty:
        raise ConfigError(f"{subject}: {path} is empty: a JSON object on each line would be accepted")
