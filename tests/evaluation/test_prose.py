from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampe.errors import ConfigError
from lampe.evaluation.prose import Prose
from lampe.llm import LLM

SENTENCES = ["A boat.", "Was it “old”?", 'She said "so!"', "数学。 v1.2 is é.", "No end", "\n\n", " ", "🙂!"]


def test_breaks_are_where_sentences_and_paragraphs_end(tiny):
    text = 'Heading\n\nOne v1.2 boat. Two "boats!" (Three?) four'
    prose = Prose.of(text, tiny[0].tokenizer)
    ends = [text[:count] for count in prose.breaks]
    assert ends == [
        "Heading",
        "Heading\n\nOne v1.2 boat.",
        'Heading\n\nOne v1.2 boat. Two "boats!"',
        'Heading\n\nOne v1.2 boat. Two "boats!" (Three?)',
    ]


def test_chinese_sentences_end_without_a_space(tiny):
    text = "他说：“好的。”我们走吧！v1.2，没有"
    ends = [text.encode()[:count].decode() for count in Prose.of(text, tiny[0].tokenizer).breaks]
    assert ends == ["他说：“好的。”", "他说：“好的。”我们走吧！"]


@given(parts=st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=20))
def test_no_break_splits_a_code_point_or_a_sentence(tiny, parts: list[str]):
    text = " ".join(parts)
    tokenizer = tiny[0].tokenizer
    prose = Prose.of(text, tokenizer)
    found = []
    for count in prose.breaks:
        before, after = (bytes(map(_byte(tokenizer), ids)).decode() for ids in (prose.ids[:count], prose.ids[count:]))
        assert before + after == text
        found.append(len(before))
    sentences = {match.end() for match in re.finditer(r"""[.!?]["”]?(?=\s)|。""", text)}
    paragraphs = {match.start() for match in re.finditer(r"(?<=\S)\s*\n\s*\n", text)}
    assert found == sorted(sentences | paragraphs)


def _byte(tokenizer):
    return lambda token: tokenizer.token_bytes(token)[0]


def test_contexts_end_at_the_same_place_and_have_the_asked_length(tiny_bos: LLM):
    prose = Prose.of("abcdefghij" * 30, tiny_bos.tokenizer)
    assert prose.prefix == (255,)
    for length in (2, 20, 200):
        context = prose.context(250, length)
        assert len(context) == length
        assert context == (255, *prose.ids[250 - length + 1 : 250])


def test_places_are_spread_evenly(tiny):
    prose = Prose.of("x" * 1000, tiny[0].tokenizer)
    assert prose.prefix == ()
    assert prose.ends(200, 4) == [300, 500, 700, 900]
    assert prose.ends(1000 - 4 * 50, 4, apart=50) == [825, 875, 925, 975]


def test_a_text_that_is_too_short_for_its_places(tiny):
    prose = Prose.of("x" * 1000, tiny[0].tokenizer)
    with pytest.raises(ConfigError) as error:
        prose.ends(801, 4, apart=50)
    assert str(error.value) == (
        "the text has 1000 tokens, and contexts of 801 tokens that end at 4 places need 1001: "
        "give a longer text, shorter contexts or fewer places"
    )


def test_the_break_nearest_to_a_position(tiny):
    prose = Prose.of("One. Two. Three.", tiny[0].tokenizer)
    assert prose.breaks == (4, 9)
    assert [prose.break_near(position, 0, 16) for position in (3, 4, 8, 9, 16)] == [4, 4, 4, 9, 9]
    assert [prose.break_near(8, first, last) for first, last in ((4, 9), (4, 8), (3, 8), (10, 16))] == [9, 8, 4, 8]
    assert [tuple(prose.breaks_from(position)) for position in (4, 5, 10)] == [(4, 9), (9,), ()]
