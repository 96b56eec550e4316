"""SmolLM2's tokenizer with its chat template, for prompts of real lengths."""

from __future__ import annotations

import pytest

import lampe.evaluation.ruler  # noqa: F401  registers the tasks
from lampe.tokenizers import Tokenizer, load_tokenizer
from tests.tokenizers import judges


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("ruler-smollm2")
    content = judges.cached(judges.smollm2_document)
    template = content.pop("chat_template")
    judges.write(folder, content, bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=template)
    return load_tokenizer(folder)
