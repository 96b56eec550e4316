from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.jsonl import read_lines


def test_lines_and_their_fields(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"x": "é", "y": ["1", "2"]}\n\n{"x": 3}\n')
    first, second = read_lines(tmp_path, "a.jsonl", "t")
    assert (first.text("x"), first.texts("y")) == ("é", ["1", "2"])
    for bad in (lambda: second.text("x"), lambda: second.texts("y"), lambda: first.texts("x")):
        with pytest.raises(ConfigError, match=r"task 't': line [13] of .*a.jsonl: the field '[xy]' is missing or no"):
            bad()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "line 1 of .* is no JSON"),
        (b"{}\n[1]", "line 2 of .* holds a JSON list: an object would be accepted"),
        (b'{"x": "\xff"}', "line 1 of .* is no JSON"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, sentence: str):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=f"task 't': {sentence}"):
        list(read_lines(tmp_path, "a.jsonl", "t"))


def test_files_that_are_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="task 't': data = 'nowhere': there is no such folder"):
        list(read_lines("nowhere", "a.jsonl", "t"))
    with pytest.raises(ConfigError, match=r"the folder holds no a.jsonl"):
        list(read_lines(tmp_path, "a.jsonl", "t"))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_line_is_no_benchmark(tmp_path: Path, content: str):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(
        ConfigError, match=r"task 't': .*a.jsonl is empty: a JSON object on each line would be accepted"
    ):
        list(read_lines(tmp_path, "a.jsonl", "t"))
