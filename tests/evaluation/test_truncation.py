from __future__ import annotations

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.truncation import cut_middle


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
