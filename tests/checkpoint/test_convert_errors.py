"""Every GGUF file or folder that cannot be converted gets one sentence, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from lampe.checkpoint import convert
from lampe.checkpoint.convert import convert_gguf
from lampe.errors import CheckpointError, ConfigError, LampeError, MissingExtraError
from tests.checkpoint.gguf_samples import Metadata, Sample, byte_tokenizer, random_model

BYTES = [chr(i) for i in range(256)]


def both(*writers: Metadata) -> Metadata:
    def write(writer: GGUFWriter) -> None:
        for each in writers:
            each(writer)

    return write


def entry(kind: str, key: str, value: Any) -> Metadata:
    return lambda writer: getattr(writer, f"add_{kind}")(key, value)


def sentencepiece(**changes: Any) -> Metadata:
    entries = {
        "tokens": ["<unk>", "<s>", "</s>", "a", "b"],
        "scores": [0.0, 0.0, 0.0, -1.0, -2.0],
        "token_type": [2, 3, 3, 1, 1],
        **changes,
    }

    def write(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        for name, value in entries.items():
            if value is not None:
                writer.add_array(f"tokenizer.ggml.{name}", value)

    return write


def change(name: str, array: np.ndarray | None) -> Callable[[dict[str, np.ndarray]], None]:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        if array is None:
            del tensors[name]
        else:
            tensors[name] = array

    return edit


def not_finite(tensors: dict[str, np.ndarray]) -> None:
    tensors["blk.1.ffn_up.weight"] = tensors["blk.1.ffn_up.weight"].copy()
    tensors["blk.1.ffn_up.weight"][3, 5] = 1e5


FILES: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": (
        {"skip": frozenset(["general.architecture"]), "metadata": entry("string", "general.architecture", "gemma")},
        r"general.architecture = 'gemma'; accepted: llama, qwen2, qwen3 \(mistral files say llama\)",
    ),
    "experts by count": (
        {"metadata": entry("uint32", "llama.expert_count", 8)},
        r"is a mixture of experts \(llama.expert_count = 8\)",
    ),
    "experts by tensor": (
        {"edit": change("blk.0.ffn_gate_exps.weight", np.zeros((2, 4, 4), np.float32))},
        r"is a mixture of experts \(tensor blk.0.ffn_gate_exps.weight\)",
    ),
    "storage type": (
        {"edit": change("blk.0.ffn_up.weight", np.zeros((96, 64), np.float64))},
        "blk.0.ffn_up.weight is stored as F64, which the gguf package cannot dequantise; accepted: F32",
    ),
    "missing tensor": ({"edit": change("blk.1.attn_k.weight", None)}, "lacks tensors: 'blk.1.attn_k.weight'$"),
    "missing embedding": ({"edit": change("token_embd.weight", None)}, "token_embd.weight is missing"),
    "half of the biases": (
        {"edit": change("blk.0.attn_q.bias", np.zeros(64, np.float32))},
        "lacks tensors: 'blk.0.attn_k.bias', 'blk.0.attn_v.bias', .* and 1 more$",
    ),
    "tensor left over": (
        {"edit": change("blk.0.attn_sinks.weight", np.zeros(4, np.float32))},
        "has tensors that llama models do not have: 'blk.0.attn_sinks.weight'$",
    ),
    "tensor misshapen": (
        {"edit": change("blk.0.attn_k.weight", np.zeros((64, 64), np.float32))},
        r"blk.0.attn_k.weight is \[64, 64\], but the metadata asks for \[32, 64\]",
    ),
    "field missing": ({"skip": frozenset(["llama.context_length"])}, "llama.context_length is missing"),
    "field of another type": (
        {"skip": frozenset(["llama.block_count"]), "metadata": entry("string", "llama.block_count", "two")},
        "llama.block_count = 'two', expected one int",
    ),
    "no layers": (
        {"skip": frozenset(["llama.block_count"]), "metadata": entry("uint32", "llama.block_count", 0)},
        "llama.block_count = 0, expected 1 to 21",
    ),
    "heads": (
        {
            "skip": frozenset(["llama.attention.head_count_kv"]),
            "metadata": entry("uint32", "llama.attention.head_count_kv", 3),
        },
        "4 heads, 3 key-value heads, key_length 16, value_length 16; accepted: heads a multiple",
    ),
    "value length": (
        {"metadata": lambda writer: writer.add_value_length(32)},
        "key_length 16, value_length 32; accepted: .* both lengths even and equal",
    ),
    "field not understood": (
        {"metadata": entry("float32", "llama.logit_scale", 0.5)},
        "'llama.logit_scale' is not among the metadata that .* leaving it out could change what the model computes",
    ),
    "partly rotary": (
        {"metadata": lambda writer: writer.add_rope_dimension_count(8)},
        "llama.rope.dimension_count = 8: only heads that rotate all 16 dimensions",
    ),
    "rope scaling": (
        {"metadata": entry("string", "llama.rope.scaling.type", "longrope")},
        "llama.rope.scaling.type = 'longrope'; accepted: none, linear, yarn",
    ),
    "rope scaling factor": (
        {
            "metadata": both(
                entry("string", "llama.rope.scaling.type", "yarn"), entry("float32", "llama.rope.scaling.factor", 0.5)
            )
        },
        "llama.rope.scaling.factor = 0.5; expected at least 1",
    ),
    "theta": (
        {
            "skip": frozenset(["llama.rope.freq_base"]),
            "metadata": entry("float32", "llama.rope.freq_base", 0.5),
        },
        "llama.rope.freq_base = 0.5; expected a number above 1",
    ),
    "number not finite": (
        {
            "skip": frozenset(["llama.rope.freq_base"]),
            "metadata": entry("float32", "llama.rope.freq_base", float("nan")),
        },
        "llama.rope.freq_base = nan, expected a finite number",
    ),
    "two rope scalings": (
        {
            "metadata": both(
                entry("string", "llama.rope.scaling.type", "linear"),
                entry("float32", "llama.rope.scaling.factor", 2.0),
            ),
            "edit": change("rope_freqs.weight", np.ones(8, np.float32)),
        },
        "has both rope_freqs.weight and llama.rope.scaling.type = 'linear'",
    ),
    "rope_freqs of no llama3 scaling": (
        {"edit": change("rope_freqs.weight", np.linspace(1, 9, 8, dtype=np.float32))},
        "rope_freqs.weight divides the frequencies by 1 to 9 in a way that is not Llama 3's scaling",
    ),
    "window of some layers": (
        {"arch": "qwen2", "metadata": lambda writer: writer.add_sliding_window(64)},
        "qwen2.attention.sliding_window = 64 is below context_length = 256, but a GGUF file does not say which layers",
    ),
    "one of several parts": ({"metadata": entry("uint16", "split.count", 3)}, r"one of 3 parts \(split.count\)"),
    "tokenizer model": (
        {"tokenizer": lambda writer: writer.add_tokenizer_model("bert")},
        "tokenizer.ggml.model = 'bert'; accepted: gpt2 .* llama",
    ),
    "pre-tokenizer": (
        {"tokenizer": byte_tokenizer("qwen35")},
        "tokenizer.ggml.pre = 'qwen35'.*did you mean 'qwen2'.*; accepted: gpt-2, llama-bpe",
    ),
    "no pre-tokenizer": ({"tokenizer": byte_tokenizer(None)}, "tokenizer.ggml.pre is missing"),
    "no tokens": ({"tokenizer": sentencepiece(tokens=None)}, "tokenizer.ggml.tokens is missing"),
    "tokens of another type": (
        {"tokenizer": sentencepiece(tokens=[1, 2])},
        r"tokenizer.ggml.tokens = \[1, 2\], expected a list of str",
    ),
    "more tokens than rows": (
        {"tokenizer": byte_tokenizer(tokens=[f"t{i}" for i in range(400)], merges=["t 1"])},
        "403 tokens, but token_embd.weight has only 320 rows",
    ),
    "token types": ({"tokenizer": sentencepiece(token_type=[1, 1])}, "2 tokenizer.ggml.token_type for 5 tokens"),
    "unknown token type": (
        {"tokenizer": sentencepiece(token_type=[2, 3, 3, 1, 9])},
        "9 is not a valid TokenType; accepted: 1 to 6",
    ),
    "token id": ({"tokenizer": byte_tokenizer(eos=999)}, "eos_token_id = 999, but there are 260"),
    "no merges": (
        {"tokenizer": byte_tokenizer(tokens=BYTES, merges=None)},
        "tokenizer.ggml.merges is missing, which gpt2 tokenizers need",
    ),
    "merge": (
        {"tokenizer": byte_tokenizer(tokens=["a", "b"], merges=["a b"])},
        "tokenizer.ggml.merges: 'a b' does not join two tokens to a third",
    ),
    "token twice": (
        {"tokenizer": byte_tokenizer(tokens=["a", "b", "ab", "b"], merges=["a b"])},
        "tokenizer.ggml.tokens holds 'b' twice, as 1 and 3",
    ),
    "no scores": ({"tokenizer": sentencepiece(scores=None)}, "scores is missing, but 5 tokens need one each"),
    "scores that do not order": (
        {"tokenizer": sentencepiece(scores=[0.0, 0.0, 0.0, -1000.0, -1000.0])},
        "all tokenizer.ggml.scores are -1000.0",
    ),
    "pieces": (
        {"tokenizer": sentencepiece(tokens=["<unk>", "<s>", "</s>", "a", "a"])},
        "tokenizer.ggml.tokens: sentencepiece does not accept these pieces",
    ),
}


@pytest.fixture(scope="module")
def llama():
    return random_model("Llama")


@pytest.fixture(scope="module")
def qwen2():
    return random_model("Qwen2")


def refused(
    source: Path, folder: Path, message: str, error: type[LampeError] = CheckpointError, **options: Any
) -> None:
    """Converting fails with `message`, in one line, and leaves every file around as it was."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(error, match=message) as caught:
        convert_gguf(source, folder, **options)
    assert "\n" not in str(caught.value)
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_refused(name, llama, qwen2, tmp_path):
    changes, message = FILES[name]
    model = qwen2 if changes.get("arch") == "qwen2" else llama
    refused(Sample(model, **changes).write(tmp_path / "m.gguf"), tmp_path / "out", message)


def test_numbers_too_large_for_the_dtype(llama, tmp_path):
    source = Sample(llama, edit=not_finite).write(tmp_path / "m.gguf")
    message = "model.layers.1.mlp.up_proj.weight holds numbers that are not finite in float16"
    refused(source, tmp_path / "out", message, dtype="float16")
    (tmp_path / "elsewhere").mkdir()
    refused(source, tmp_path / "elsewhere" / "a" / "out", message, dtype="float16")
    assert not (tmp_path / "elsewhere" / "a").exists()
    assert (convert_gguf(source, tmp_path / "out") / "model.safetensors").is_file()


def test_files_that_are_no_gguf_files(llama, tmp_path):
    refused(tmp_path / "absent.gguf", tmp_path / "out", "absent.gguf is not a file; expected a GGUF file")
    refused(tmp_path, tmp_path / "out", "is not a file; expected a GGUF file")
    (tmp_path / "empty.gguf").touch()
    refused(tmp_path / "empty.gguf", tmp_path / "out", "empty.gguf is no GGUF file: it starts with b''")
    (tmp_path / "other.gguf").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "other.gguf", tmp_path / "out", "other.gguf is no GGUF file: it starts with b'PK")
    big = Sample(llama).write(tmp_path / "big.gguf", endianess=gguf.GGUFEndian.BIG)
    refused(big, tmp_path / "out", "big.gguf is a big-endian GGUF file")


@pytest.fixture(scope="module")
def whole_file(llama, tmp_path_factory) -> Path:
    return Sample(llama).write(tmp_path_factory.mktemp("whole") / "m.gguf")


@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_files(whole_file, tmp_path, share):
    content = whole_file.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: 4 + int(share * (len(content) - 4))])
    refused(cut, tmp_path / "out", "cut.gguf is truncated or damaged: it has .* bytes, but says")


@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@settings(max_examples=60)
def test_damaged_headers_never_cause_another_kind_of_error(whole_file, tmp_path, place, byte):
    content = bytearray(whole_file.read_bytes())
    header = GGUFReader(whole_file).data_offset
    content[int(place * header)] = byte
    (tmp_path / "damaged.gguf").write_bytes(content)
    with contextlib.suppress(CheckpointError):
        convert_gguf(tmp_path / "damaged.gguf", tmp_path / "out", dtype="float32", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} <= {"damaged.gguf", "out"}


def test_text_that_is_not_utf_8(llama, tmp_path):
    source = Sample(llama, metadata=entry("string", "general.name", "MARKED")).write(tmp_path / "m.gguf")
    source.write_bytes(source.read_bytes().replace(b"MARKED", b"\xff\xfe\xfd\xfc\xfb\xfa"))
    refused(source, tmp_path / "out", "general.name holds text that is not UTF-8")


def test_folders_that_are_taken(whole_file, tmp_path):
    (tmp_path / "file").write_text("x")
    refused(whole_file, tmp_path / "file", "is a file; expected a folder that is absent or empty")
    refused(whole_file, tmp_path / "file" / "out", "out cannot be written: Not a directory")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "diary.txt").write_text("x")
    refused(whole_file, notes, "notes is not empty; choose another folder, or overwrite it")
    refused(whole_file, notes, "no config.json, so it is no checkpoint and is not overwritten", overwrite=True)
    (notes / "config.json").write_text("{}")
    own = notes / "m.gguf"
    own.write_bytes(whole_file.read_bytes())
    refused(own, notes, "notes holds m.gguf itself and so is not overwritten", overwrite=True)


def test_dtype(whole_file, tmp_path):
    message = "dtype = 'int8'; accepted: bfloat16, float16, float32"
    refused(whole_file, tmp_path / "out", message, ConfigError, dtype="int8")


def test_the_gguf_package_is_named_when_it_is_missing(whole_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(whole_file, tmp_path / "out", r"pip install 'lampe\[gguf\]'", MissingExtraError)


def test_an_interrupted_overwrite_keeps_the_old_folder(whole_file, tmp_path, monkeypatch):
    folder = convert_gguf(whole_file, tmp_path / "out")
    old = json.loads((folder / "config.json").read_text())

    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "write_safetensors", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_gguf(whole_file, folder, dtype="float32", overwrite=True)
    assert json.loads((folder / "config.json").read_text()) == old
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
