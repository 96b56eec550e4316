"""Rank files: what they say, and what makes them unusable."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from lampe.errors import TokenizerError
from lampe.tokenizers import load_tokenizer
from lampe.tokenizers.rank_files import is_rank_file, parse_ranks
from tests.tokenizers.judges import llama3_rank_file, mistral_model, qwen_rank_file

BYTES = [bytes([value]) for value in range(256)]


def _lines(tokens: list[bytes], first: int = 0) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens, first))


def test_rank_files_are_told_by_their_content() -> None:
    assert is_rank_file(llama3_rank_file().read_bytes())
    assert not is_rank_file(mistral_model("v1").read_bytes())
    assert not is_rank_file(b"")


def test_special_tokens_of_llama3(llama3_ranks) -> None:  # type: ignore[no-untyped-def]
    special = llama3_ranks.tokenizer.special_tokens
    expected = {"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|start_header_id|>": 128006}
    expected |= {"<|end_header_id|>": 128007, "<|eom_id|>": 128008, "<|eot_id|>": 128009, "<|python_tag|>": 128010}
    expected |= {"<|reserved_special_token_2|>": 128012, "<|reserved_special_token_245|>": 128255}
    assert {name: special[name] for name in expected} == expected
    assert len(special) == 256


def test_special_tokens_of_qwen(tmp_path: Path) -> None:
    shutil.copy(qwen_rank_file(), tmp_path / "qwen.tiktoken")
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.vocab_size == 151851
    assert tokenizer.special_tokens["<|im_start|>"] == 151644
    assert tokenizer.special_tokens["<|extra_204|>"] == 151850
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (None, (151643, 151645))
    assert tokenizer.encode("<|im_start|>e\u0301", parse_special=True) == [151644, *tokenizer.encode("é")]


def test_a_config_beside_it_speaks_of_roles(tmp_path: Path) -> None:
    shutil.copy(llama3_rank_file(), tmp_path / "tokenizer.model")
    config = {"eos_token": "<|eot_id|>", "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.eos_ids == (128009,)
    assert (tokenizer.bos_id, tokenizer.encode("hello")) == (128000, [15339])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_lines(BYTES) + b"!!! 256\n", "line 257: b'!!! 256' is not a base64 token and its rank"),
        (_lines(BYTES) + b"YWI=\n", "line 257"),
        (_lines(BYTES) + b"YWI= x\n", "line 257"),
        (_lines(BYTES[:100]) + _lines(BYTES[100:], 101), "ranks are not 0 to 255"),
        (_lines([*BYTES, b"a"]), "ranks are not 0 to 255"),
        (_lines(BYTES[:-1]), "the byte 0xff has no token"),
    ],
)
def test_broken_rank_files(data: bytes, reason: str) -> None:
    with pytest.raises(TokenizerError, match=reason):
        parse_ranks(data, "tokenizer.model")


def test_a_rank_file_of_another_model(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(_lines(BYTES))
    with pytest.raises(TokenizerError, match=r"256 ranks, Llama 3's has 128000; lampe needs the tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_truncated_rank_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(llama3_rank_file().read_bytes()[:1_000_000])
    with pytest.raises(TokenizerError, match=r"tokenizer\.model, line \d+|ranks"):
        load_tokenizer(tmp_path)
