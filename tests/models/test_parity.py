"""Logits and greedy tokens against transformers, for every family and variant."""

from __future__ import annotations

import pytest
import torch

from lampe.attention import DenseAttention, SDPAAttention
from lampe.generation import generate
from lampe.sampling import Sampling
from tests.checkpoints import VARIANTS, WINDOW, make
from tests.engines import assert_logits_equal, load

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_greedy_tokens_equal_those_of_transformers(name, sharded, tmp_path):
    judge = make(name, tmp_path, sharded=sharded)
    engine = load(tmp_path)
    ids = torch.randint(3, 256, (2, WINDOW // 2 - 4), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = judge(ids).logits
        assert_logits_equal(engine.forward(ids, engine.cache([ids.shape[1]] * 2)), expected)
        greedy = judge.generate(ids[:1], max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
    pieces = list(generate(engine, [ids[0].tolist()], Sampling(max_new_tokens=64)))
    assert [piece.token for piece in pieces] == greedy[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("backend", [DenseAttention(), SDPAAttention()])
@pytest.mark.parametrize("name", ["llama3", "qwen3", "mistral-nemo", "llama-yarn"])
def test_the_other_backends_give_the_same_logits(name, backend, tmp_path):
    judge = make(name, tmp_path)
    ids = torch.randint(3, 256, (1, WINDOW), generator=torch.Generator().manual_seed(2))
    engine = load(tmp_path, backend)
    with torch.no_grad():
        assert_logits_equal(engine.forward(ids, engine.cache([WINDOW])), judge(ids).logits)


def test_a_replaced_scaling_is_not_applied(tmp_path):
    make("llama-yarn", tmp_path)
    ids = torch.randint(3, 256, (1, 40), generator=torch.Generator().manual_seed(3))
    own, replaced, yarn = (load(tmp_path, positional=spec) for spec in (None, "rope", {"kind": "yarn", "factor": 4}))
    logits = [engine.forward(ids, engine.cache([40])) for engine in (own, replaced, yarn)]
    assert torch.equal(logits[0], logits[2])
    assert float((logits[0] - logits[1]).abs().max()) > 1e-2


def test_a_sliding_window_can_be_switched_off(tmp_path):
    judge = make("mistral-v0.1", tmp_path)
    ids = torch.randint(3, 256, (1, 60), generator=torch.Generator().manual_seed(4))
    engine = load(tmp_path, positional={"kind": "rope", "sliding_window": "off"})
    judge.config.sliding_window = None
    with torch.no_grad():
        expected = type(judge)(judge.config)
        expected.load_state_dict(judge.state_dict())
        assert_logits_equal(engine.forward(ids, engine.cache([60])), expected(ids).logits)
