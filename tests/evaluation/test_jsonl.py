from __future__ import annotations

from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.jsonl import read_lines
from lampe.evaluation.truncation import cut_middle


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


@pytest.mark.parametrize("length", [60, 61, 100, 149, 150, 151])
def test_both_ends_survive(tiny, length: int):
    tokenizer = tiny[0].tokenizer
    text = "".join(chr(97 + index % 26) for index in range(100))

    def prompt(inner: str) -> list[int]:
        return tokenizer.encode("<" * 25 + inner + ">" * 25)

    shorter, cut = cut_middle(tokenizer, text, prompt, length, task="t")
    kept = min(100, length - 50)
    assert (len(shorter), cut) == (kept, 100 - kept)
    assert shorter == (text if kept == 100 else text[: kept // 2] + text[-(kept - kept // 2) :])


def test_a_code_point_that_is_cut_through_is_left_out(tiny):
    tokenizer = tiny[0].tokenizer
    shorter, cut = cut_middle(tokenizer, "🙂" * 10, tokenizer.encode, 22, task="t")
    assert (shorter, cut) == ("🙂" * 4, 40 - 22)


def test_no_room(tiny):
    with pytest.raises(ConfigError, match="task 't': a prompt of 9 tokens has no room for the text it is about"):
        cut_middle(tiny[0].tokenizer, "x" * 50, lambda text: [0] * (9 + len(text)), 9, task="t")
