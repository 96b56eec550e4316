"""Which files of a folder are used, how they are saved, and what a broken one says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lampe.errors import TokenizerError
from lampe.tokenizers import load_tokenizer
from tests.tokenizers.conftest import Case
from tests.tokenizers.judges import (
    BYTE_LEVEL,
    added,
    bos_template,
    byte_alphabet,
    document,
    llama3_rank_file,
    mistral_model,
    qwen_rank_file,
    sequence,
    split,
    write,
)
from tests.tokenizers.texts import TEXTS

BYTES = {text: n for n, text in enumerate(byte_alphabet())}


def test_an_empty_folder_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"looked for tokenizer\.json, tokenizer\.model and qwen\.tiktoken$"):
        load_tokenizer(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(TokenizerError, match=r"qwen\.tiktoken; vocab\.json and merges\.txt alone do not say"):
        load_tokenizer(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="nowhere is not a folder"):
        load_tokenizer(tmp_path / "nowhere")


def test_a_byte_level_json_goes_first(tmp_path: Path) -> None:
    write(tmp_path, document(BYTES, []))
    shutil.copy(mistral_model("v1"), tmp_path / "tokenizer.model")
    assert load_tokenizer(tmp_path).vocab_size == 256
    shutil.copy(llama3_rank_file(), tmp_path / "tokenizer.model")
    assert load_tokenizer(tmp_path).vocab_size == 256
    (tmp_path / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path).vocab_size == 128256


def test_a_sentencepiece_model_goes_before_qwens_ranks(tmp_path: Path) -> None:
    shutil.copy(qwen_rank_file(), tmp_path / "qwen.tiktoken")
    shutil.copy(mistral_model("v1"), tmp_path / "tokenizer.model")
    assert load_tokenizer(tmp_path).vocab_size == 32000


def test_saved_files_are_the_original_bytes(tmp_path: Path, smollm2: Case) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    smollm2.tokenizer.save(source)
    (source / "special_tokens_map.json").write_text('{"pad_token": "<|im_end|>"}')
    (source / "chat_template.jinja").write_text("x")
    (source / "config.json").write_text("{}")
    tokenizer = load_tokenizer(source)
    written = {path.name: path.read_bytes() for path in source.iterdir() if path.name != "config.json"}
    shutil.rmtree(source)
    tokenizer.save(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == written
    assert set(written) == {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
    }
    text = TEXTS["code"]
    assert load_tokenizer(target).encode(text) == smollm2.tokenizer.encode(text)
    tokenizer.save(target)
    assert len(list(target.iterdir())) == 4


def test_further_chat_templates_are_saved_and_those_of_another_tokenizer_removed(tmp_path: Path) -> None:
    write(tmp_path, document(BYTES, []))
    name = "additional_chat_templates/tool_use.jinja"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"tools\r\n")
    plain = load_tokenizer(tmp_path)
    plain.save(tmp_path / "copy")
    assert (tmp_path / "copy" / name).read_bytes() == b"tools\r\n"
    (tmp_path / name).unlink()
    load_tokenizer(tmp_path).save(tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*.jinja")] == []


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a", document(BYTES, []))
    load_tokenizer("~/a").save("~/b")
    assert (tmp_path / "b" / "tokenizer.json").is_file()


def test_roles_of_special_tokens_map_and_config(tmp_path: Path) -> None:
    tokens = [added("<s>", 256), added("</s>", 257, special=False), added("<p>", 258)]
    content = document(BYTES, [], added_tokens=tokens)
    write(tmp_path, content)
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": "<s>", "eos_token": {"content": "<p>"}}')
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.encode("!")) == (256, (258,), [33])
    write(tmp_path, content, bos_token=None, eos_token="</s>", add_bos_token=True, add_eos_token=True)
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.encode("!")) == (None, (257,), [33, 257])
    assert tokenizer.decode([256, 33, 257]) == "!"


@pytest.mark.parametrize("role", ["pad_token", "sep_token", "cls_token", "mask_token", "unk_token"])
def test_a_role_that_no_token_has_is_its_text_alone(tmp_path: Path, role: str) -> None:
    content = document(BYTES, [], added_tokens=[added("<s>", 256)])
    write(tmp_path, content, bos_token="<s>", chat_template=f"{{{{ bos_token }}}}{{{{ {role} }}}}", **{role: "[X]"})
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.vocab_size, dict(tokenizer.special_tokens)) == (257, {"<s>": 256})
    assert tokenizer.encode("[X]", parse_special=True) == list(b"[X]")
    assert tokenizer.render_chat([{"role": "user", "content": "!"}]) == "<s>[X]"


def test_added_tokens_of_the_config(tmp_path: Path) -> None:
    decoder = {"256": {"content": "<s>", "special": True}, "258": {"content": "<x>", "special": False}}
    write(tmp_path, document(BYTES, [], added_tokens=[added("<s>", 256)]), added_tokens_decoder=decoder)
    tokenizer = load_tokenizer(tmp_path)
    assert dict(tokenizer.special_tokens) == {"<s>": 256}
    assert tokenizer.encode("<x>!<s>", parse_special=True) == [258, 33, 256]
    assert tokenizer.vocab_size == 259


@pytest.mark.parametrize(
    "config",
    [
        {"additional_special_tokens": ["<x>"]},
        {"extra_special_tokens": [{"content": "<x>"}]},
        {"extra_special_tokens": {"image_token": "<x>"}},
        {"pad_token": "<x>"},
    ],
)
def test_tokens_that_a_config_calls_special(tmp_path: Path, config: dict[str, Any]) -> None:
    write(tmp_path, document(BYTES, [], added_tokens=[added("<x>", 256, special=False)]))
    assert load_tokenizer(tmp_path).decode([256]) == "<x>"
    write(tmp_path, document(BYTES, [], added_tokens=[added("<x>", 256, special=False)]), **config)
    assert load_tokenizer(tmp_path).decode([256]) == ""


def test_a_template_post_processor_says_what_is_added(tmp_path: Path) -> None:
    post = bos_template("<s>", 256)
    post["single"].append(post["single"][0])
    judge = write(tmp_path, document(BYTES, [], added_tokens=[added("<s>", 256)], post_processor=post))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("!") == judge.encode("!").ids == [256, 33, 256]
    assert tokenizer.bos_id == 256


def _changed(**parts: Any) -> dict[str, Any]:
    return {**document(BYTES, []), **parts}


def _model(**parts: Any) -> dict[str, Any]:
    content = document(BYTES, [])
    return {**content, "model": {**content["model"], **parts}}


UNKNOWN_SPECIAL = {**bos_template("<s>", 256), "special_tokens": {}}
TWO_TEXTS = {**bos_template("<s>", 256), "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}]}
BAD_JSON: dict[str, tuple[Any, str]] = {
    "model type": (_model(type="WordPiece"), r"model\.type is 'WordPiece'; lampe reads 'BPE'"),
    "no model": (_changed(model=None), r"model\.type is None"),
    "pre-tokenizer": (_changed(pre_tokenizer={"type": "Whitespace"}), r"pre_tokenizer = .*Whitespace.*'ByteLevel'"),
    "inner pre-tokenizer": (_changed(pre_tokenizer=sequence({"type": "Punctuation"}, BYTE_LEVEL)), "Punctuation"),
    "split behaviour": (
        _changed(pre_tokenizer=sequence({**split("x"), "behavior": "Removed"}, BYTE_LEVEL)),
        "'Removed': input should be 'Isolated'",
    ),
    "prefix space": (_changed(pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True}), "add_prefix_space = True"),
    "order": (
        _changed(pre_tokenizer=sequence(BYTE_LEVEL, split("x"))),
        "is ByteLevel, Split; ByteLevel must come once",
    ),
    "pattern": (_changed(pre_tokenizer=sequence(split("(?:"), BYTE_LEVEL)), "split pattern .* does not compile"),
    "group": (_changed(pre_tokenizer=sequence(split("(x)"), BYTE_LEVEL)), "has a capturing group"),
    "no pattern": (_changed(pre_tokenizer=sequence({**split("x"), "pattern": {}}, BYTE_LEVEL)), "either 'String' or"),
    "normalizer": (_changed(normalizer={"type": "Lowercase"}), r"normalizer = .*Lowercase.*'NFC'"),
    "decoder": (_changed(decoder={"type": "WordPiece"}), r"decoder = .*WordPiece"),
    "no decoder": (_changed(decoder=None), "needs the decoder ByteLevel"),
    "post-processor": (_changed(post_processor={"type": "RobertaProcessing"}), "RobertaProcessing"),
    "unknown special": (_changed(post_processor=UNKNOWN_SPECIAL), "names the special token '<s>' but gives it no ids"),
    "two texts": (_changed(post_processor=TWO_TEXTS), r"post_processor\.single has the text 2 times"),
    "no vocabulary": (_model(vocab={}), r"model\.vocab = \{\}"),
    "vocabulary": (_model(vocab={"a": "b"}), r"model\.vocab\.a = 'b'"),
    "one id twice": (_model(vocab={**BYTES, "ab": 0}), "two tokens of the vocabulary have the same id"),
    "merge of three": (_model(merges=["a b c"]), "merge .* does not make a token"),
    "merge of strangers": (_model(merges=["a b"]), "merge .* does not make a token"),
    "dropout": (_model(dropout=0.1), r"model\.dropout = 0\.1"),
    "prefix": (_model(continuing_subword_prefix="##"), "continuing_subword_prefix = '##'"),
    "unk_token": (_model(unk_token="<nope>"), "unk_token '<nope>' is not in the vocabulary"),
    "single_word": (_changed(added_tokens=[added("<s>", 256, single_word=True)]), "single_word = True"),
    "added id": (_changed(added_tokens=[added("a", 300)]), "'a' is id 97 in the vocabulary, 300 as an added token"),
    "added twice": (_changed(added_tokens=[added("<s>", 256), added("<s>", 257)]), "'<s>' has two ids: 256 and 257"),
    "negative id": (_changed(added_tokens=[added("<s>", -3)]), "id = -3"),
    "negative vocabulary id": (_model(vocab={**BYTES, "ab": -1}), r"model\.vocab\.ab = -1"),
    "absurd id": (_model(vocab={**BYTES, "ab": 10**12}), r"model\.vocab\.ab = 1000000000000"),
    "not byte-level": (_changed(pre_tokenizer=None), "no pre_tokenizer is ByteLevel, and the byte token '<0x00>'"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_tokenizer_json_that_is_refused(tmp_path: Path, name: str) -> None:
    content, reason = BAD_JSON[name]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TokenizerError, match=reason) as caught:
        load_tokenizer(tmp_path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", r"tokenizer\.json is not valid JSON"),
        (b"[]", r"tokenizer\.json holds a JSON list; an object is expected"),
        (b"\xff\xfe", r"tokenizer\.json is not UTF-8 text"),
        (b"[" * 100_000, r"tokenizer\.json is not valid JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"tokenizer\.json is a Git LFS pointer"),
    ],
)
def test_a_tokenizer_json_that_is_none(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(data)
    with pytest.raises(TokenizerError, match=reason):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"bos_token": "<nope>"}, "bos_token is '<nope>', which is no token of this vocabulary of 257 tokens"),
        ({"eos_token": "<nope>"}, "eos_token is '<nope>', which is no token of this vocabulary of 257 tokens"),
        ({"added_tokens_decoder": {"256": {"content": "<t>"}}}, "id 256 is '<s>' in tokenizer.json and '<t>' in"),
        ({"added_tokens_decoder": {"x": {"content": "<t>"}}}, "tokenizer_config.json, added token: id = 'x'"),
        ({"added_tokens_decoder": [1]}, "'added_tokens_decoder' must be an object"),
    ],
)
def test_a_tokenizer_config_that_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    write(tmp_path, document(BYTES, [], added_tokens=[added("<s>", 256)]), **config)
    with pytest.raises(TokenizerError, match=reason.replace(".", r"\.")):
        load_tokenizer(tmp_path)
