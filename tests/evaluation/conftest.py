"""One small model for all tests of the evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedModel

from lampe.llm import LLM
from lampe.tokenizers import Tokenizer, load_tokenizer
from tests.evaluation.tiny import checkpoint, prose
from tests.tokenizers import judges


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[LLM, PreTrainedModel]:
    """The model as lampe and as transformers run it, in fp32."""
    folder = tmp_path_factory.mktemp("tiny")
    reference = checkpoint(folder)
    return LLM.load(folder, prefill_chunk=96), reference


@pytest.fixture(scope="session")
def tiny_bos(tmp_path_factory: pytest.TempPathFactory) -> LLM:
    """The same with a tokenizer that begins every text with BOS."""
    folder = tmp_path_factory.mktemp("tiny-bos")
    checkpoint(folder, bos=True)
    return LLM.load(folder, prefill_chunk=96)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a text of about 8000 tokens."""
    path: Path = tmp_path_factory.mktemp("text") / "river.txt"
    path.write_text(prose(150), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """SmolLM2's tokenizer with its chat template, for prompts of real lengths."""
    folder = tmp_path_factory.mktemp("smollm2-tokenizer")
    content = judges.cached(judges.smollm2_document)
    template = content.pop("chat_template")
    judges.write(folder, content, bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=template)
    return load_tokenizer(folder)
