"""Long texts to measure on: Python's own documentation, or what the user names."""

from __future__ import annotations

import re
from pathlib import Path

from lampe.errors import ConfigError

SENTENCE_END = re.compile(r"""[.:!?]["”')\]]*$""")
MARKUP = ("::=", ">>>", "+--")
FEWEST_WORDS = 8


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


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file, or the .txt files of a folder in the order of their names with a blank line between.

    Raises:
        ConfigError: the path does not exist, holds no text, or is not UTF-8.
    """
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
        raise ConfigError(f"text {path}: there is no such file or folder")
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
