from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation import python_documentation, read_text


def test_documentation_is_prose_and_never_repeats_itself():
    paragraphs = python_documentation().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 1000
    assert "Assert statements are a convenient way to insert debugging assertions into a program:" in paragraphs
    assert 'The "assert" statement' in paragraphs
    assert paragraphs.index('The "assert" statement') < paragraphs.index('The "while" statement')
    assert not [p for p in paragraphs if "::=" in p or ">>>" in p or "\n" in p or p != p.strip()]
    assert sum(map(len, paragraphs)) > 200_000


def test_a_folder_is_its_text_files_in_the_order_of_their_names(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes("\ufeffsecond\r\nline\n".encode())
    (tmp_path / "a.txt").write_text("first\n\n")
    (tmp_path / "c.md").write_text("no text file")
    assert read_text(tmp_path) == "first\n\nsecond\nline"
    assert read_text(tmp_path / "b.txt") == "second\nline"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("absent.txt", None, "there is no such file or folder"),
        ("blank.txt", b" \n\t\n", "there is nothing in it but white space"),
        ("latin.txt", "na\xefve".encode("latin-1"), "byte 2 is not UTF-8; save the file as UTF-8 text"),
    ],
)
def test_a_text_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, sentence: str):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_text(path)
    assert str(error.value) == f"text {path}: {sentence}"


def test_a_folder_without_texts(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"the folder holds no \.txt file"):
        read_text(tmp_path)
