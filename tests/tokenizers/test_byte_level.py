"""Byte-level BPE against Hugging Face's `tokenizers`, on published vocabularies."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lampe.errors import TokenizerError
from lampe.tokenizers import load_tokenizer
from tests.tokenizers import judges
from tests.tokenizers.conftest import Case
from tests.tokenizers.texts import PROSE, RANDOM_TEXT, TEXTS


def _comparable(case: Case, text: str) -> bool:
    """The judge's library normalises by an older Unicode, which does not know some combining marks."""
    if case.judge.normalizer is None:
        return True
    normal: str = case.judge.normalizer.normalize_str(text)
    return normal == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("parse_special", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_ids_equal_the_judge(case: Case, name: str, parse_special: bool) -> None:
    text = TEXTS[name]
    ids = case.tokenizer.encode(text, add_special=False, parse_special=parse_special)
    assert ids == case.judged(text, parse_special=parse_special)


@settings(max_examples=150)
@given(text=RANDOM_TEXT, parse_special=st.booleans())
def test_ids_equal_the_judge_on_random_text(case: Case, text: str, parse_special: bool) -> None:
    assume(_comparable(case, text))
    ids = case.tokenizer.encode(text, add_special=False, parse_special=parse_special)
    assert ids == case.judged(text, parse_special=parse_special)


@settings(max_examples=100)
@given(text=RANDOM_TEXT)
def test_text_comes_back(case: Case, text: str) -> None:
    expected = unicodedata.normalize(case.normal_form, text) if case.normal_form else text
    assume(not case.missing.intersection(expected.encode()))
    for parse_special in (False, True):
        ids = case.tokenizer.encode(text, parse_special=parse_special, add_special=False)
        assert case.tokenizer.decode(ids, skip_special=False) == expected


@given(data=st.data(), skip_special=st.booleans())
def test_any_ids_decode_as_the_judge_does(case: Case, data: st.DataObject, skip_special: bool) -> None:
    ids = data.draw(st.lists(st.integers(0, case.judge.get_vocab_size() - 1), max_size=20))
    known = [n for n in ids if case.judge.id_to_token(n) is not None]
    assert case.tokenizer.decode(known, skip_special=skip_special) == case.judge.decode(
        known, skip_special_tokens=skip_special
    )


@given(data=st.data(), skip_special=st.booleans())
def test_stream_is_decode(case: Case, data: st.DataObject, skip_special: bool) -> None:
    ids = data.draw(st.lists(st.integers(0, 40_000), max_size=20))
    stream = case.tokenizer.stream(skip_special=skip_special)
    for _ in range(2):
        assert "".join(map(stream.push, ids)) + stream.flush() == case.tokenizer.decode(ids, skip_special=skip_special)


@pytest.mark.parametrize("name", ["emoji", "chinese", "hindi", "code"])
def test_stream_never_splits_a_code_point(case: Case, name: str) -> None:
    text = unicodedata.normalize("NFC", TEXTS[name])
    stream = case.tokenizer.stream()
    ids = case.tokenizer.encode(text, add_special=False)
    seen = ""
    for token_id in ids:
        seen += stream.push(token_id)
        assert text.startswith(seen)
    assert seen == text
    assert stream.flush() == ""


def test_stream_gives_up_on_half_a_code_point(llama3: Case) -> None:
    stream = llama3.tokenizer.stream()
    first = llama3.tokenizer.encode("🦙", add_special=False)[0]
    assert (stream.push(first), stream.flush(), stream.push(first)) == ("", "\ufffd", "")


@pytest.mark.slow
def test_half_a_megabyte_takes_a_moment(case: Case) -> None:
    text = PROSE[:400_000] + TEXTS["chinese"] * 300 + TEXTS["digits"] * 200
    start = time.process_time()
    ids = case.tokenizer.encode(text, add_special=False)
    assert time.process_time() - start < 2.0
    assert ids == case.judged(text)


@pytest.mark.slow
@pytest.mark.parametrize("run", [" ", "\n", "^"])
def test_a_run_of_a_million_characters(llama3: Case, run: str) -> None:
    text = run * (50_000 // len(run)) + "x"
    assert llama3.tokenizer.encode(text, add_special=False) == llama3.judged(text)
    # tiktoken's own pattern engine gives up on runs like this.
    text = run * (1_200_000 // len(run)) + "x"
    assert llama3.tokenizer.decode(llama3.tokenizer.encode(text)) == text


def test_bos_is_added_and_never_doubled(llama3: Case, llama3_ranks: Case, qwen: Case, smollm2: Case) -> None:
    for tokenizer in (llama3.tokenizer, llama3_ranks.tokenizer):
        assert tokenizer.bos_id == 128000
        assert tokenizer.encode("hello") == [128000, 15339]
        assert tokenizer.encode("<|begin_of_text|>hello", parse_special=True) == [128000, 15339]
        assert tokenizer.encode("<|begin_of_text|>hello")[:2] == [128000, 27]
        assert tokenizer.encode("hello", add_special=False) == [15339]
        assert tokenizer.encode("") == [128000]
    assert (qwen.tokenizer.bos_id, qwen.tokenizer.encode("hello")) == (None, [14990])
    assert (smollm2.tokenizer.bos_id, smollm2.tokenizer.encode("hello")) == (1, [28120])


def test_ids_that_end_a_text(llama3: Case, llama3_ranks: Case, qwen: Case, smollm2: Case) -> None:
    assert llama3.tokenizer.eos_ids == (128009,)
    assert llama3_ranks.tokenizer.eos_ids == (128001, 128008, 128009)
    assert qwen.tokenizer.eos_ids == (151645,)
    assert smollm2.tokenizer.eos_ids == (2,)
    assert llama3.tokenizer.vocab_size == llama3_ranks.tokenizer.vocab_size == 128256
    assert qwen.tokenizer.vocab_size == 151665
    assert smollm2.tokenizer.vocab_size == 49152


def test_special_tokens_are_those_that_decoding_skips(qwen: Case) -> None:
    special = qwen.tokenizer.special_tokens
    assert len(special) == 14
    assert special["<|im_end|>"] == 151645
    assert "<tool_call>" not in special
    ids = qwen.tokenizer.encode("<|im_start|>a<tool_call>", parse_special=True)
    assert ids == [151644, 64, 151657]
    assert qwen.tokenizer.decode(ids) == "a<tool_call>"
    assert qwen.tokenizer.decode(ids, skip_special=False) == "<|im_start|>a<tool_call>"


@pytest.mark.slow
def test_mistral_nemo(tmp_path: Path) -> None:
    judge = judges.write(tmp_path, judges.cached(judges.nemo_document), bos_token="<s>", eos_token="</s>")
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_ids) == (131072, 1, (2,))
    for text in [*TEXTS.values(), PROSE]:
        ids = tokenizer.encode(text, add_special=False, parse_special=True)
        assert ids == judge.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_ids_may_come_from_a_tensor(llama3: Case) -> None:
    ids = torch.tensor([128000, 15339, 128009])
    assert llama3.tokenizer.decode(ids) == "hello"
    assert llama3.tokenizer.decode(ids, skip_special=False) == "<|begin_of_text|>hello<|eot_id|>"


def test_bytes_without_a_token_are_left_out(smollm2: Case) -> None:
    assert smollm2.tokenizer.encode("\x04") == smollm2.judged("\x04") == []
    assert smollm2.tokenizer.encode("!\x04\x06!") == smollm2.judged("!\x04\x06!") == smollm2.tokenizer.encode("!!")


@pytest.mark.parametrize(
    ("token_id", "reason"), [(128256, "out of range"), (-1, "out of range"), (10**12, "ids go from 0 to")]
)
def test_an_id_out_of_range(llama3: Case, token_id: int, reason: str) -> None:
    with pytest.raises(TokenizerError, match=reason):
        llama3.tokenizer.decode([1, token_id])


@pytest.mark.parametrize("text", ["a\ud800b", "\udfff", "\ud83d\ude00"])
def test_surrogates_are_refused(case: Case, text: str) -> None:
    with pytest.raises(TokenizerError, match="lone surrogate U\\+D"):
        case.tokenizer.encode(text)
