"""The real model: logits, greedy tokens and perplexity against transformers."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from lampe import LLM
from lampe.evaluation import python_documentation
from tests.engines import assert_logits_equal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def llm(smollm2) -> LLM:
    return LLM.load(smollm2, dtype="float32")


@pytest.fixture(scope="module")
def ids(llm) -> torch.Tensor:
    return torch.tensor([llm.tokenizer.encode(python_documentation()[:20000])[:2048]])


def test_logits_and_greedy_tokens_on_2048_real_tokens(llm, ids, smollm2):
    judge = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    assert ids.shape == (1, 2048)
    with torch.no_grad():
        expected = judge(ids).logits
        assert_logits_equal(llm.logits(ids), expected)
        greedy = judge.generate(ids, max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert llm.generate(ids[0], max_new_tokens=64, ignore_eos=True) == greedy[0, 2048:].tolist()
    loss = torch.nn.functional.cross_entropy(expected[0, :-1], ids[0, 1:])
    assert float(loss.exp()) < 20


def test_lampe_in_pieces_on_real_weights(llm, ids):
    engine = llm.with_positional({"kind": "lampe", "head": 256, "tail": 100, "span": 700}).engine
    whole = engine.forward(ids, engine.cache([1900]))
    cache = engine.cache([1900])
    pieces = [engine.forward(piece, cache) for piece in ids.split([700, 1200, *[1] * 148], dim=1)]
    assert_logits_equal(torch.cat(pieces, dim=1), whole)
