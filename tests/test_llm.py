"""The facade: loading, swapping methods, and what each kind of prompt gives."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from lampe import LLM, LaMPE, Llama3, RoPE, Sampling, SelfExtend, YaRN
from lampe.errors import CheckpointError, ConfigError, NotFiniteError, TokenizerError, UnknownNameError
from lampe.testing import ROPE
from lampe.testing.decoding import small_model
from lampe.tokenizers.files import TokenizerFiles
from tests.checkpoints import make
from tests.evaluation.tiny import BOS, checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama3")
    make("llama3", folder)
    return folder


@pytest.fixture(scope="module")
def llm(folder) -> LLM:
    return LLM.load(folder, tokenizer=False, device="cpu")


IDS = torch.randint(3, 256, (2, 40), generator=torch.Generator().manual_seed(0))


def test_the_method_is_the_checkpoints_own_unless_replaced(llm, folder):
    assert isinstance(llm.positional, Llama3)
    replaced = LLM.load(folder, tokenizer=False, positional=YaRN(factor=4), device="cpu")
    assert isinstance(replaced.positional, YaRN)
    assert torch.equal(replaced.logits(IDS), llm.with_positional({"kind": "yarn", "factor": 4}).logits(IDS))


@pytest.mark.parametrize(
    "spec",
    ["lampe", {"kind": "lampe"}, LaMPE(), LaMPE.Config(), LaMPE().bind(ROPE)],
    ids=["name", "dict", "method", "config", "bound"],
)
@pytest.mark.filterwarnings("ignore::lampe.positional.ProfileWarning")
def test_a_method_is_a_name_a_mapping_a_config_or_an_object(llm, spec):
    other = llm.with_positional(spec)
    assert other.positional.config == LaMPE.Config()
    assert other.positional.rope == llm.config.rope
    assert other.model is llm.model
    assert isinstance(llm.positional, Llama3)


def test_logits_are_those_of_each_row_and_of_the_last_positions(llm):
    whole = llm.logits(IDS)
    assert whole.shape == (2, 40, 256)
    torch.testing.assert_close(llm.logits(IDS[1:]), whole[1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(llm.logits(IDS.tolist(), last=3), whole[:, -3:], atol=1e-5, rtol=1e-5)


def test_logits_are_tensors_like_any_other(llm):
    logits = llm.logits([[1, 2, 3, 4, 5]])
    weight = torch.ones(logits.shape[-1], requires_grad=True)
    (logits.div_(2) * weight).sum().backward()
    torch.testing.assert_close(weight.grad, logits.sum(dim=(0, 1)))
    llm.session().logits([1, 2, 3]).mul_(2)


def test_neither_gradients_nor_autocast_change_a_pass(llm):
    ids = [[1, 2, 3, 4, 5]]
    expected = llm.logits(ids)
    with torch.autocast("cpu", torch.bfloat16), torch.enable_grad():
        assert torch.equal(llm.logits(ids), expected)
    assert not llm.model(torch.tensor(ids), llm.engine.cache([5]), llm.engine.backend).requires_grad


def test_logits_in_chunks_are_written_into_one_tensor(llm):
    ids = torch.arange(1, 41).reshape(2, 20)
    chunked = LLM(llm.model, prefill_chunk=6, positional="rope", attention="chunked")
    whole = LLM(llm.model, positional="rope", attention="chunked").logits(ids)
    for last in (1, 2, 3, 13, 20):
        torch.testing.assert_close(chunked.logits(ids, last=last), whole[:, -last:], atol=1e-5, rtol=1e-5)
        found = chunked.engine.forward(ids, chunked.engine.cache([20, 20]), last=last)
        torch.testing.assert_close(found, whole[:, -last:], atol=1e-5, rtol=1e-5)


def test_a_session_ends_where_the_model_does(folder):
    llm = LLM.load(folder, tokenizer=False, device="cpu")
    ids = [5, 6, 7]
    plain = llm.generate(ids, max_new_tokens=6, ignore_eos=True)
    ending = LLM(llm.model)
    ending.model.config = llm.config.model_copy(update={"eos_token_ids": (plain[2],)})
    pieces = list(ending.session().generate(torch.tensor(ids), Sampling(max_new_tokens=6)))
    assert [piece.token for piece in pieces if piece.token is not None] == ending.generate(ids, max_new_tokens=6)
    assert len(pieces) < 6


def test_a_session_without_a_tokenizer_knows_no_stop_strings(llm):
    session = LLM(llm.model).session()
    with pytest.raises(TokenizerError, match="stop strings need a tokenizer"):
        list(session.generate([1, 2], Sampling(stop=("x",))))


def test_prompts_of_ids_give_ids(llm):
    one = llm.generate(IDS[0], max_new_tokens=6, ignore_eos=True)
    assert llm.generate(IDS[0].tolist(), max_new_tokens=6, ignore_eos=True) == one
    rows = llm.generate([IDS[0].tolist(), IDS[1, :7].tolist()], max_new_tokens=6, ignore_eos=True)
    assert rows[0] == one
    assert [len(row) for row in rows] == [6, 6]
    pieces = list(llm.generate([IDS[0].tolist()], max_new_tokens=6, ignore_eos=True, stream=True))
    assert [piece.token for piece in pieces] == one
    assert llm.generate(IDS[0].numpy(), max_new_tokens=6, ignore_eos=True) == one
    assert llm.generate(list(IDS[0].numpy()), max_new_tokens=6, ignore_eos=True) == one
    alone = list(llm.generate(IDS[0], max_new_tokens=6, ignore_eos=True, stream=True))
    assert [piece.token for piece in alone] == one


def test_a_text_is_not_closed_before_it_goes_on(tmp_path):
    checkpoint(tmp_path, bos=True)
    config = {"bos_token": "<s>", "eos_token": "<s>", "add_bos_token": True, "add_eos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    llm = LLM.load(tmp_path, device="cpu")
    ids = llm.tokenizer.encode("Hello")
    assert (ids[0], ids[-1]) == (BOS, BOS)
    expected = llm.generate(ids[:-1], max_new_tokens=4, ignore_eos=True)
    assert expected != llm.generate(ids, max_new_tokens=4, ignore_eos=True)
    pieces = llm.generate(["Hello"], max_new_tokens=4, ignore_eos=True, stream=True)
    assert [piece.token for piece in pieces if piece.token is not None] == expected


def test_a_saved_model_loads_with_equal_logits(llm, tmp_path):
    llm.save(tmp_path / "copy")
    again = LLM.load(tmp_path / "copy", tokenizer=False, device="cpu")
    assert again.config == llm.config
    assert torch.equal(again.logits(IDS), llm.logits(IDS))


def test_the_class_of_a_method_stands_for_its_defaults(llm):
    assert llm.with_positional(YaRN).positional.config == YaRN.Config()


def test_a_session_is_of_the_model_and_method_that_it_was_made_with(llm):
    with pytest.raises(ValueError, match="the session belongs to another model or method"):
        llm.chat([], session=llm.with_positional("nope").session())


def test_a_profile_beside_the_checkpoint_goes_along(llm, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "first")
    (tmp_path / "first" / "lampe-profile.json").write_text("{}")
    LLM.load(tmp_path / "first", tokenizer=False, device="cpu").save(tmp_path / "same")
    assert (tmp_path / "same" / "lampe-profile.json").read_text() == "{}"
    LLM.load(tmp_path / "first", tokenizer=False, dtype="bfloat16", device="cpu").save(tmp_path / "same")
    assert not (tmp_path / "same" / "lampe-profile.json").exists()


def test_a_model_saved_over_another_has_nothing_of_it(llm, tmp_path):
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 7}')
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    llm.save(tmp_path)
    assert LLM.load(tmp_path, tokenizer=False, device="cpu").end_ids == llm.end_ids
    TokenizerFiles(tmp_path, {"tokenizer.json": b"{}"}).write(tmp_path)
    assert not (tmp_path / "chat_template.jinja").exists()


def test_a_model_without_a_tokenizer_leaves_none_of_another(llm, folder, tmp_path):
    llm.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    LLM.load(tmp_path, tokenizer=False, device="cpu").save(tmp_path)
    assert (tmp_path / "tokenizer.json").exists()
    llm.save(tmp_path)
    assert not (tmp_path / "tokenizer.json").exists()


def test_logits_that_are_no_numbers_end_in_a_sentence(folder):
    broken = LLM.load(folder, tokenizer=False, device="cpu")
    with torch.no_grad():
        broken.model.model.norm.weight.fill_(torch.inf)
    for sampling in ({}, {"temperature": 0.8}):
        with pytest.raises(NotFiniteError, match=r"the largest logit is (inf|nan), so there is no next token.*float32"):
            broken.generate([1, 2], max_new_tokens=2, **sampling)


def test_dtypes(folder):
    for dtype in ("bfloat16", torch.bfloat16):
        half = LLM.load(folder, tokenizer=False, dtype=dtype, device="cpu")
        assert half.logits(IDS).dtype == torch.bfloat16


def test_what_is_refused_before_the_weights_are_read(folder, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((folder / "config.json").read_text())
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UnknownNameError, match="unknown positional method 'lamp'"):
        LLM.load(broken, positional="lamp")
    with pytest.raises(ConfigError, match="device = 'abacus': expected one of those of this machine: auto, cpu"):
        LLM.load(broken, device="abacus")
    with pytest.raises(ConfigError, match="device = 'None': expected one of those of this machine: auto, cpu"):
        LLM.load(broken, device=None)
    for dtype, said in (("int4", "'int4'"), (torch.int8, "torch.int8")):
        with pytest.raises(ConfigError, match=f"dtype = {said}: expected 'auto', 'float32', 'bfloat16', 'float16'"):
            LLM.load(broken, dtype=dtype)
    with pytest.raises(TokenizerError, match="broken"):
        LLM.load(broken, dtype="float32")
    with pytest.raises(CheckpointError, match="truncated or no safetensors file"):
        LLM.load(broken, dtype="float32", tokenizer=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda llm: llm.generate([1, 256]), ValueError, "token id 256: the vocabulary has ids 0 to 255"),
        (lambda llm: llm.logits([[0, -1]]), ValueError, "token id -1: the vocabulary has ids 0 to 255"),
        (lambda llm: llm.generate([[1], []]), ValueError, "prompt 1 is empty"),
        (lambda llm: llm.generate([]), ValueError, "there is no prompt"),
        (lambda llm: llm.generate([1], top_p=0.9), ConfigError, "top_p = 0.9 needs a temperature above 0"),
        (lambda llm: llm.with_positional(""), UnknownNameError, "unknown positional method ''"),
        (
            lambda llm: llm.with_positional("yarm:factor=4"),
            UnknownNameError,
            r"did you mean 'yarn'\?\); fields stand in",
        ),
        (lambda llm: llm.with_positional(YaRN(4)), TypeError, r"YaRN\(4\): fields are named"),
        (lambda llm: llm.generate([[1], "text"]), ValueError, "all text or all token ids"),
        (lambda llm: llm.generate("text"), TokenizerError, "needs a tokenizer"),
        (lambda llm: llm.generate([1], stop=("x",)), TokenizerError, "stop strings need a tokenizer"),
        (lambda llm: llm.logits([[1, 2]], last=0), ValueError, "last = 0: expected 1 to 2"),
        (lambda llm: llm.logits([[1, 2]], last=3), ValueError, "last = 3: expected 1 to 2"),
        (lambda llm: llm.chat([{"role": "user", "content": "hi"}]), TokenizerError, "needs a tokenizer"),
        (lambda llm: llm.generate([1], tokens=3), ConfigError, "unknown field 'tokens'"),
        (lambda llm: llm.generate(torch.tensor(1)), ValueError, "prompt 1: a text, token ids, or a list of either"),
        (lambda llm: llm.logits([1, 2]), ValueError, r"ids \[2\]: expected \[batch, length\]"),
        (lambda llm: llm.logits([[1.7, 2.2]]), ValueError, r"ids of torch.float32: expected whole numbers"),
        (lambda llm: llm.generate([[1.7, 2]]), ValueError, "token id 1.7: expected a whole number"),
        (lambda llm: llm.generate([1.5, 2.0]), ValueError, "token id 1.5: expected a whole number"),
        (lambda llm: llm.generate(torch.tensor([1.0])), ValueError, "token id 1.0: expected a whole number"),
        (lambda llm: llm.generate([True]), ValueError, "token id True: expected a whole number"),
        (
            lambda llm: llm.generate([{"role": "user", "content": "x"}]),
            ValueError,
            "a message .*: LLM.chat takes those",
        ),
        (
            lambda llm: llm.generate({"role": "user"}),
            ValueError,
            "prompt {'role': 'user'}: a text, token ids, or a list",
        ),
        (lambda llm: llm.generate(None), ValueError, "prompt None: a text, token ids, or a list of either"),
        (lambda llm: llm.generate([None]), ValueError, "prompt None: a text, token ids, or a list of either"),
        (lambda llm: llm.generate(b"x"), ValueError, "prompt b'x': a text, token ids, or a list of either"),
        (
            lambda llm: llm.with_positional(SelfExtend(length="total")).generate([1], max_new_tokens=2**24),
            ConfigError,
            "max_new_tokens = 16777216: length = 'total' plans for the prompt and all of them",
        ),
        (lambda llm: llm.with_positional({"kind": "yarn", "faktor": 2}), ConfigError, r"did you mean 'factor'\?"),
    ],
)
def test_bad_calls_get_one_sentence(llm, call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(llm)
    assert "\n" not in str(caught.value)


def test_the_parts_make_a_model_too():
    with pytest.raises(ConfigError, match="prefill_chunk = 0: expected at least 1 token"):
        LLM(small_model(), prefill_chunk=0)
    llm = LLM(small_model(), positional=RoPE(), attention="chunked")
    assert llm.engine.backend.config.kind == "chunked"
    assert json.dumps(llm.positional.config.model_dump(mode="json"))
