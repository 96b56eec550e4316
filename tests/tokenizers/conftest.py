"""The published vocabularies, each as a folder and as the judge that Hugging Face's library makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Judge

from lampe.tokenizers import Tokenizer, load_tokenizer
from lampe.tokenizers.tiktoken import NormalForm
from tests.tokenizers import judges


@dataclass(frozen=True)
class Case:
    """One tokenizer and its judge.

    Attributes:
        normal_form: what the tokenizer makes of a text before anything else.
        missing: bytes that have no token.
    """

    tokenizer: Tokenizer
    judge: Judge
    normal_form: NormalForm | None = None
    missing: frozenset[int] = frozenset()

    def judged(self, text: str, *, parse_special: bool = True, add_special: bool = False) -> list[int]:
        """The judge's ids."""
        self.judge.encode_special_tokens = not parse_special
        return self.judge.encode(text, add_special_tokens=add_special).ids


@pytest.fixture(scope="session")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Llama 3 from a tokenizer.json."""
    folder = tmp_path_factory.mktemp("llama3")
    config = {"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|eot_id|>", "special": True}}
    judge = judges.write(folder, judges.cached(judges.llama3_document), **config)
    return Case(load_tokenizer(folder), judge)


@pytest.fixture(scope="session")
def llama3_ranks(tmp_path_factory: pytest.TempPathFactory, llama3: Case) -> Case:
    """Llama 3 from Meta's rank file."""
    folder = tmp_path_factory.mktemp("llama3-ranks")
    shutil.copy(judges.llama3_rank_file(), folder / "tokenizer.model")
    return Case(load_tokenizer(folder), llama3.judge)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Qwen 2 from a tokenizer.json."""
    folder = tmp_path_factory.mktemp("qwen")
    config = {"bos_token": None, "eos_token": "<|im_end|>", "add_bos_token": False}
    judge = judges.write(folder, judges.cached(judges.qwen_document), **config)
    return Case(load_tokenizer(folder), judge, "NFC")


@pytest.fixture(scope="session")
def qwen_ranks(tmp_path_factory: pytest.TempPathFactory, qwen: Case) -> Case:
    """Qwen from its rank file, with the added tokens of Qwen 2 in the config beside it."""
    folder = tmp_path_factory.mktemp("qwen-ranks")
    shutil.copy(judges.qwen_rank_file(), folder / "qwen.tiktoken")
    decoder: dict[str, Any] = {}
    for token_id, token in qwen.judge.get_added_tokens_decoder().items():
        decoder[str(token_id)] = {"content": token.content, "special": token.special, "normalized": token.normalized}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    return Case(load_tokenizer(folder), qwen.judge, "NFC")


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """SmolLM2, whose ids do not follow the merges and whose vocabulary lacks some bytes."""
    folder = tmp_path_factory.mktemp("smollm2")
    content = judges.cached(judges.smollm2_document)
    template = content.pop("chat_template")
    config = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": template}
    judge = judges.write(folder, content, **config)
    missing = frozenset(n for n, text in enumerate(judges.byte_alphabet()) if text not in content["model"]["vocab"])
    assert len(missing) == 21
    return Case(load_tokenizer(folder), judge, missing=missing)


SLOW = ("qwen_ranks", "llama3_ranks")
CASES = ["llama3", "qwen", "smollm2", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Every byte-level vocabulary."""
    found: Case = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder for a tokenizer that a test makes up."""
    return tmp_path / "tiny"
