"""sentencepiece models against Hugging Face's `tokenizers` and against sentencepiece itself."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Judge

from lampe.errors import TokenizerError
from lampe.tokenizers import Tokenizer, load_tokenizer
from tests.tokenizers.judges import BYTE_LEVEL, SPACED, cached, mistral_model, sentencepiece_document, write
from tests.tokenizers.texts import PROSE, RANDOM_TEXT, TEXTS

LEAD = {"type": "Metaspace", "replacement": "▁", "split": False}
UNSTRIPPED = [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
]
RULES: dict[str, dict[str, Any]] = {
    "legacy": {"normalizer": SPACED},
    "first": {"normalizer": None, "pre_tokenizer": {**LEAD, "prepend_scheme": "first"}},
    "always": {"normalizer": None, "pre_tokenizer": {**LEAD, "prepend_scheme": "always"}},
    "never": {
        "normalizer": None,
        "pre_tokenizer": {**LEAD, "prepend_scheme": "never"},
        "decoder": {"type": "Sequence", "decoders": UNSTRIPPED},
    },
}
CONFIGS = {"legacy": {"legacy": True}, "first": {"legacy": False}, "never": {"add_prefix_space": False}}
SOURCES = ["legacy-json", "legacy-both", "legacy-config", "first-json", "first-config", "always-both", "never-config"]


def mistral_v3() -> dict[str, Any]:
    """The tokenizer.json of Mistral's third model."""
    return sentencepiece_document(mistral_model("v3"))


@dataclass(frozen=True)
class SpacedCase:
    """A tokenizer, its judge, and how it treats the space before a text."""

    tokenizer: Tokenizer
    judge: Judge
    rule: str


@pytest.fixture(scope="module", params=SOURCES)
def spaced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SpacedCase:
    """Mistral v3 from its tokenizer.json, its tokenizer.model, or both, under each rule for spaces."""
    rule, source = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>"}
    judge = write(folder, {**cached(mistral_v3), **RULES[rule]}, **config, **CONFIGS.get(rule, {}))
    if source != "json":
        shutil.copy(mistral_model("v3"), folder / "tokenizer.model")
    if source == "config":
        (folder / "tokenizer.json").unlink()
    return SpacedCase(load_tokenizer(folder), judge, rule)


@pytest.mark.parametrize("name", TEXTS)
def test_ids_equal_the_judge(spaced: SpacedCase, name: str) -> None:
    text = TEXTS[name]
    spaced.judge.encode_special_tokens = False
    assert spaced.tokenizer.encode(text, parse_special=True) == spaced.judge.encode(text).ids
    spaced.judge.encode_special_tokens = True
    assert spaced.tokenizer.encode(text) == spaced.judge.encode(text).ids


@settings(max_examples=60)
@given(text=RANDOM_TEXT, parse_special=st.booleans())
def test_ids_equal_the_judge_on_random_text(spaced: SpacedCase, text: str, parse_special: bool) -> None:
    spaced.judge.encode_special_tokens = not parse_special
    ids = spaced.tokenizer.encode(text, add_special=False, parse_special=parse_special)
    assert ids == spaced.judge.encode(text, add_special_tokens=False).ids


@given(text=RANDOM_TEXT)
def test_text_comes_back(spaced: SpacedCase, text: str) -> None:
    ids = spaced.tokenizer.encode(text)
    expected = text.replace("▁", " ")
    if spaced.rule in ("first", "always"):
        expected = expected.removeprefix(" ")
    assert spaced.tokenizer.decode(ids) == expected
    stream = spaced.tokenizer.stream()
    assert "".join(map(stream.push, ids)) + stream.flush() == expected


def test_text_that_goes_on_keeps_its_space(spaced: SpacedCase) -> None:
    ids = spaced.tokenizer.encode("def f(x):\n    return x, as the capital is Paris", add_special=False)
    whole = spaced.tokenizer.decode(ids)
    for cut in range(1, len(ids)):
        rest = spaced.tokenizer.stream(at_start=False)
        assert spaced.tokenizer.decode(ids[:cut]) + "".join(map(rest.push, ids[cut:])) + rest.flush() == whole


@pytest.mark.slow
def test_half_a_megabyte_takes_a_moment(spaced: SpacedCase) -> None:
    start = time.process_time()
    ids = spaced.tokenizer.encode(PROSE)
    assert time.process_time() - start < 3.0
    assert spaced.tokenizer.decode(ids) == PROSE


@pytest.fixture(scope="module", params=["v1", "v2", "v3", "v7"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """From a folder with tokenizer.model and nothing else, as Llama 2's own release has it."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copy(mistral_model(request.param), folder / "tokenizer.model")
    return load_tokenizer(folder)


def test_a_bare_model_is_sentencepiece_itself(bare: Tokenizer, tmp_path: Path) -> None:
    bare.save(tmp_path)
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert (bare.vocab_size, bare.bos_id, bare.eos_ids) == (model.get_piece_size(), 1, (2,))
    for text in TEXTS.values():
        ids = bare.encode(text)
        assert ids == [1, *model.encode(text)]
        assert bare.decode(ids) == model.decode(ids) == text.replace("▁", " ")


def test_control_tokens_are_read_when_asked(bare: Tokenizer) -> None:
    assert bare.encode("<s>hi</s>", parse_special=True) == [1, *bare.encode("hi", add_special=False), 2]
    plain = bare.encode("<s>hi</s>")
    assert plain.count(1) == 1
    assert 2 not in plain
    assert bare.decode(plain) == "<s>hi</s>"
    assert bare.decode([1, *bare.encode("hi"), 2]) == "hi"
    assert bare.decode([1, 2], skip_special=False) == "<s></s>"


def test_bytes_of_one_character_come_together(bare: Tokenizer) -> None:
    ids = bare.encode("𒀀𒀁", add_special=False)
    stream = bare.stream()
    assert [stream.push(n) for n in ids] == ["", *["", "", "", "𒀀"], *["", "", "", "𒀁"]]
    assert stream.flush() == ""
    assert bare.decode(ids[:3]) == "\ufffd"


def _folder(folder: Path, **files: Any) -> Path:
    shutil.copy(mistral_model("v1"), folder / "tokenizer.model")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_added_tokens_of_a_finetune(tmp_path: Path) -> None:
    added = {"<|im_start|>": 32001, "<|im_end|>": 32000}
    tokenizer = load_tokenizer(
        _folder(tmp_path, added_tokens=added, special_tokens_map={"eos_token": "<|im_end|>", "bos_token": "<s>"})
    )
    assert (tokenizer.vocab_size, tokenizer.eos_ids, tokenizer.bos_id) == (32002, (32000,), 1)
    ids = tokenizer.encode("<|im_start|>hi<|im_end|>", parse_special=True)
    assert ids == [1, 32001, *tokenizer.encode("hi", add_special=False), 32000]
    assert tokenizer.decode(ids) == "<|im_start|> hi"


def test_add_bos_and_eos_of_the_config(tmp_path: Path) -> None:
    hi = load_tokenizer(_folder(tmp_path)).encode("hi", add_special=False)
    config = {"add_bos_token": False, "add_eos_token": True}
    assert load_tokenizer(_folder(tmp_path, tokenizer_config=config)).encode("hi") == [*hi, 2]


NO_PREFIX = b"\x1a\x02\x18\x00"
COLLAPSES = b"\x1a\x02\x20\x01"


def test_a_model_that_adds_no_space(tmp_path: Path) -> None:
    model = mistral_model("v1").read_bytes() + NO_PREFIX
    (tmp_path / "tokenizer.model").write_bytes(model)
    ids = load_tokenizer(tmp_path).encode("hi", add_special=False)
    assert ids == sentencepiece.SentencePieceProcessor(model_proto=model).encode("hi")
    assert load_tokenizer(tmp_path).decode([*load_tokenizer(tmp_path).encode(" hi")]) == " hi"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "neither a sentencepiece model nor a rank file: it holds no pieces"),
        (b"hello, this is no model", "neither a sentencepiece model nor a rank file"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "neither"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_corrupt_models(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(data)
    with pytest.raises(TokenizerError, match=reason):
        load_tokenizer(tmp_path)


@given(cut=st.integers(1, 480_000))
def test_truncated_models(tmp_path: Path, cut: int) -> None:
    (tmp_path / "tokenizer.model").write_bytes(mistral_model("v1").read_bytes()[:cut])
    with pytest.raises(TokenizerError, match=r"tokenizer\.model"):
        load_tokenizer(tmp_path)


def test_a_model_that_collapses_spaces(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(mistral_model("v1").read_bytes() + COLLAPSES)
    with pytest.raises(TokenizerError, match="removes extra whitespace"):
        load_tokenizer(tmp_path)


def test_a_json_of_another_tokenizer(tmp_path: Path) -> None:
    write(tmp_path, cached(mistral_v3))
    shutil.copy(mistral_model("v1"), tmp_path / "tokenizer.model")
    with pytest.raises(TokenizerError, match=r"are of different tokenizers: .* is 259 and 1027"):
        load_tokenizer(tmp_path)


def _small() -> dict[str, Any]:
    texts = ["<unk>", *(f"<0x{value:02X}>" for value in range(256)), "▁", "a", "▁a"]
    parts = cached(mistral_v3)
    model = {**parts["model"], "vocab": {text: n for n, text in enumerate(texts)}, "merges": ["▁ a"]}
    return {**parts, "model": model, "added_tokens": [], "post_processor": None}


def _without_byte(content: dict[str, Any]) -> dict[str, Any]:
    vocab = {text if text != "<0x0A>" else "<nl>": n for text, n in content["model"]["vocab"].items()}
    return {**content, "model": {**content["model"], "vocab": vocab}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda c: {**c, **RULES["first"], "pre_tokenizer": {**LEAD, "split": True}},
            "Metaspace is not supported here",
        ),
        (lambda c: {**c, "pre_tokenizer": LEAD}, "Metaspace is not supported here"),
        (lambda c: {**c, "normalizer": None}, "neither a normalizer nor a pre_tokenizer turns spaces into '▁'"),
        (lambda c: {**c, "normalizer": {"type": "NFC"}}, "normalizer NFC is not one of a sentencepiece model"),
        (lambda c: {**c, "decoder": BYTE_LEVEL}, "decoder ByteLevel needs the pre_tokenizer ByteLevel"),
        (_without_byte, "the byte token '<0x0A>' is missing"),
        (lambda c: {**c, "model": {**c["model"], "byte_fallback": False}}, "byte_fallback is false"),
        (lambda c: {**c, "model": {**c["model"], "ignore_merges": True}}, "ignore_merges = true"),
    ],
)
def test_a_json_that_is_no_sentencepiece_model(tmp_path: Path, change: Any, reason: str) -> None:
    write(tmp_path, _small())
    assert load_tokenizer(tmp_path).encode("a a\n") == [259, 259, 11]
    write(tmp_path, change(_small()))
    with pytest.raises(TokenizerError, match=re.escape(reason)):
        load_tokenizer(tmp_path)
