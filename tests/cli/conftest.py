"""A small random chat checkpoint, and the command line run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig
from typer.testing import CliRunner, Result

from lampe import llm as facade
from lampe.cli.app import app
from tests import checkpoints

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 512

Lampe = Callable[..., Result]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 128 trained positions, with a byte-level tokenizer and a chat template."""
    folder = tmp_path_factory.mktemp("model") / "chat-model"
    tokenizer = byte_level_tokenizer()
    eos = tokenizer.token_to_id("<|im_end|>")
    variant = checkpoints._variant(LlamaConfig, vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=eos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(checkpoints.VARIANTS, "cli", variant)
        checkpoints.make("cli", folder, dtype=torch.float32)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def byte_level_tokenizer() -> Tokenizer:
    """Byte-level BPE of `VOCABULARY` ids, trained on one topic of Python's documentation."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([topics["strings"]], trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


@pytest.fixture(scope="session")
def llm(checkpoint: Path) -> facade.LLM:
    """The same checkpoint through the Python API."""
    return facade.LLM.load(checkpoint, device="cpu")


@pytest.fixture
def lampe(monkeypatch: pytest.MonkeyPatch) -> Lampe:
    """Runs a command line; the result has exit_code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("LAMPE_TRACEBACK", raising=False)

    def run(*arguments: object, text: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some thousand tokens."""
    file = tmp_path_factory.mktemp("text") / "prose.txt"
    file.write_text(topics["strings"], encoding="utf-8")
    return file
