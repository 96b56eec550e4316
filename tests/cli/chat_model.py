"""A small random chat model with a tokenizer, and what a command line returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig
from typer.testing import Result

from tests import checkpoints

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 512

Lampe = Callable[..., Result]
"""Runs `lampe` with these arguments; `text` is its standard input."""


def make_chat_model(folder: Path) -> Path:
    """Save a Llama of 128 trained positions with a byte-level tokenizer.json and a chat template."""
    tokenizer = byte_level_tokenizer()
    eos = tokenizer.token_to_id("<|im_end|>")
    variant = checkpoints._variant(LlamaConfig, vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=eos)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(checkpoints.VARIANTS, "chat", variant)
        checkpoints.make("chat", folder)
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
