"""Long texts to measure on: Python's own documentation, or what the user names."""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lampe.errors import ConfigError

Source = str | Annotated[tuple[str, ...], Field(min_length=1)] | None
"""What a task's field `text` holds: a file, a folder of .txt files or a name; several of these; or the task's own."""

SENTENCE_END = re.compile(r"""[.:!?]["”')\]]*$""")
MARKUP = ("::=", ">>>", "+--")
FEWEST_WORDS, FEWEST_OF_A_DOCSTRING = 8, 20
"""Words of a paragraph. What a docstring says in less is mostly the same everywhere."""

LEFT_OUT = {"site-packages", "test", "tests", "idle_test", "idlelib", "lib2to3", "pydoc_data", "turtledemo"}
"""Folders of the standard library that hold no documentation, or that not every Python carries."""


def python_documentation() -> str:
    """The prose of Python's language reference, which every CPython carries (`pydoc_data.topics`).

    Topics follow each other by name. Of each, headings and paragraphs of whole sentences are kept, one line each and a
    blank line between them; grammar, code and tables are left out. Topics quote each other at length, and a paragraph
    is kept only where it comes first: a text that repeats itself would measure copying.
    """
    from pydoc_data.topics import topics

    kept: dict[str, None] = {}
    for name in sorted(topics):
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            if prose := _prose(paragraph):
                kept.setdefault(prose)
    return "\n\n".join(kept)


@lru_cache(maxsize=1)
def python_library() -> str:
    """The prose of the docstrings of Python's standard library, whose sources every CPython carries.

    Modules follow each other by path. Paragraphs are kept as in `python_documentation`, the longer ones only.

    Raises:
        ConfigError: this Python has no sources, only what was compiled from them.
    """
    kept: dict[str, None] = {}
    for docstring in _docstrings(Path(sysconfig.get_paths()["stdlib"])):
        for paragraph in re.split(r"\n\s*\n", docstring):
            if len(paragraph.split()) >= FEWEST_OF_A_DOCSTRING and (prose := _prose(paragraph)):
                kept.setdefault(prose)
    if not kept:
        raise ConfigError("text python-library: this Python carries no sources of its library; name a file instead")
    return "\n\n".join(kept)


NAMED: dict[str, Callable[[], str]] = {"python": python_documentation, "python-library": python_library}
"""Texts that need no file."""


def documents(source: str | Path) -> list[tuple[str, str]]:
    """Name and content of a text by its name, of a file, or of each .txt file of a folder.

    Raises:
        ConfigError: as in `read_text`.
    """
    if isinstance(source, str) and source in NAMED:
        return [(source, NAMED[source]())]
    return [(file.name, read_text(file)) for file in text_files(source)]


def read_text(path: str | Path) -> str:
    """A text by its name; a UTF-8 text file; or the .txt files of a folder by name, with a blank line between.

    Raises:
        ConfigError: the path does not exist, holds no text, or is not UTF-8.
    """
    # A path is no name: "./python" would lose its dot in becoming one.
    if isinstance(path, str) and path in NAMED:
        return NAMED[path]()
    text = "\n\n".join(filter(None, map(_read_file, text_files(path))))
    if not text:
        raise ConfigError(f"text {path}: there is nothing in it but white space")
    return text


def text_files(path: str | Path) -> list[Path]:
    """The file itself, or the .txt files of a folder in the order of their names.

    Raises:
        ConfigError: the path does not exist, or the folder holds no .txt file.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(
            f"text {path}: there is no such file or folder, and no text of that name ({', '.join(NAMED)})"
        )
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"text {path}: the folder holds no .txt file")
    return files


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"text {path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"text {path}: it cannot be read: {error.strerror}") from None


def _docstrings(root: Path) -> Iterator[str]:
    """Every docstring of the modules under a folder that can be parsed."""
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.intersection(path.relative_to(root).parts):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield ast.get_docstring(node) or ""


def _prose(paragraph: str) -> str:
    """The paragraph on one line, or nothing if it is not prose."""
    lines = paragraph.strip().splitlines()
    if len(lines) == 2 and re.fullmatch(r"""[*=~^"-]{3,}""", lines[1].strip()):
        return lines[0].strip()
    words = paragraph.split()
    line = " ".join(words)
    if len(words) < FEWEST_WORDS or not SENTENCE_END.search(line) or any(mark in line for mark in MARKUP):
        return ""
    return line
