"""The tokenizer files of a checkpoint folder, read once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lampe.errors import TokenizerError
from lampe.files import expanded, lfs_pointer

NAMES = (
    "tokenizer.json",
    "tokenizer.model",
    "qwen.tiktoken",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
MORE_TEMPLATES = "additional_chat_templates"
"""Folder of the chat templates that transformers 5 keeps beside chat_template.jinja, each as NAME.jinja."""


@dataclass(frozen=True)
class TokenizerFiles:
    """The bytes of those files of `NAMES` that a folder holds, and of its further chat templates.

    The bytes stay in memory, so that a tokenizer can be saved after its folder is gone.
    """

    folder: Path
    contents: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: str | Path) -> TokenizerFiles:
        """Read what is there.

        Raises:
            TokenizerError: `folder` is no folder, or a file in it is a Git LFS pointer.
        """
        folder = expanded(folder)
        if not folder.is_dir():
            raise TokenizerError(f"{folder} is not a folder; a tokenizer is loaded from the folder of its checkpoint")
        names = [name for name in (*NAMES, *_more_templates(folder)) if (folder / name).is_file()]
        for name in names:
            if reason := lfs_pointer(folder / name):
                raise TokenizerError(reason)
        return cls(folder, {name: (folder / name).read_bytes() for name in names})

    def __contains__(self, name: str) -> bool:
        return name in self.contents

    def text(self, name: str) -> str:
        """The file as UTF-8 text.

        Raises:
            TokenizerError: it is not UTF-8.
        """
        try:
            return self.contents[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise TokenizerError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None

    def json(self, name: str) -> dict[str, Any]:
        """The file as a JSON object; empty when the folder has no such file.

        Raises:
            TokenizerError: it is not JSON, or not an object.
        """
        if name not in self.contents:
            return {}
        try:
            document = json.loads(self.text(name))
        except (json.JSONDecodeError, RecursionError) as error:
            raise TokenizerError(f"{name} is not valid JSON: {error}") from None
        if not isinstance(document, dict):
            raise TokenizerError(f"{name} holds a JSON {type(document).__name__}; an object is expected")
        return document

    def write(self, folder: str | Path) -> None:
        """Copy every file into `folder`, which is made if need be; no file is ever half-written.

        Tokenizer files of another tokenizer that lie there are removed.
        """
        folder = expanded(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.contents.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                partial.write_bytes(data)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        for name in (*NAMES, *_more_templates(folder)):
            if name not in self.contents:
                (folder / name).unlink(missing_ok=True)


def _more_templates(folder: Path) -> list[str]:
    return sorted(f"{MORE_TEMPLATES}/{path.name}" for path in (folder / MORE_TEMPLATES).glob("*.jinja"))
