"""What --model_args accepts, and what it is answered."""

from __future__ import annotations

import json

import pytest

from lampe.errors import ConfigError, LampeError

pytest.importorskip("lm_eval", reason="the lm-evaluation-harness is not installed")

from lampe.integrations.lm_eval import Arguments, LampeLM
from lampe.integrations.lm_eval.arguments import sampling_of
from lampe.registry import validate
from lampe.sampling import Sampling


def read(**fields):
    return validate(Arguments, {"pretrained": "x", **fields}, "model_args")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"positonal": "lampe"}, "unknown field 'positonal' (did you mean 'positional'?)"),
        ({"max_len": 5}, "unknown field 'max_len' (did you mean 'max_length'?)"),
        ({"max_length": 1}, "max_length = 1: "),
        ({"batch_size": "many"}, "batch_size = 'many': "),
        ({"batch_size": 0}, "batch_size = 0: "),
        ({"for_length": 0}, "for_length = 0: "),
        ({"pretrained": None}, "pretrained = None: "),
    ],
)
def test_bad_arguments_get_one_sentence(fields, sentence):
    with pytest.raises(ConfigError) as caught:
        read(**fields)
    assert str(caught.value).startswith("model_args: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pretrained_is_needed():
    with pytest.raises(ConfigError, match="'pretrained' is missing"):
        LampeLM()


@pytest.mark.parametrize(("size", "expected"), [(4, 4), ("4", 4), ("auto", 1), ("auto:3", 1)])
def test_batch_size(size, expected):
    assert read(batch_size=size, max_batch_size=64).batch_size == expected


def test_model_args_go_before_what_the_harness_fills_in(folder):
    filled_in = {"batch_size": 1, "max_batch_size": None, "device": "cuda:0"}
    model = LampeLM.create_from_arg_obj({"pretrained": str(folder), "batch_size": 8, "device": "cpu"}, filled_in)
    assert (model.batch_size, str(model.device)) == (8, "cpu")
    model = LampeLM.create_from_arg_string(f"pretrained={folder},positional=pi:factor=2", {"batch_size": "3"})
    assert (model.batch_size, model.llm.positional.config.factor) == (3, 2)


def test_cuda_is_no_error_where_there_is_none(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert read(device="cuda:0").device == "auto"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert read(device="cuda:0").device == "cuda:0"


def test_what_looks_like_a_number_is_a_name():
    assert (read(pretrained=7).pretrained, read(revision=2.5).revision) == ("7", "2.5")


@pytest.mark.parametrize(
    "spec",
    [
        "lampe:head=16:span=96",
        '{"kind": "lampe", "head": 16, "span": 96}',
        {"kind": "lampe", "head": 16, "span": 96},
        "FILE",
    ],
)
def test_forms_of_a_method(folder, tmp_path, spec):
    if spec == "FILE":
        spec = str(tmp_path / "method.json")
        (tmp_path / "method.json").write_text(json.dumps({"kind": "lampe", "head": 16, "span": 96}), encoding="utf-8")
    config = LampeLM(pretrained=str(folder), positional=spec).llm.positional.config
    assert (config.kind, config.head, config.span) == ("lampe", 16, 96)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"positional": "lampee"}, "did you mean 'lampe'"),
        ({"positional": "lampe:heed=3"}, "did you mean 'head'"),
        ({"attention": "chunkd"}, "did you mean 'chunked'"),
        ({"dtype": "float31"}, "float31"),
    ],
)
def test_what_the_loading_refuses(folder, fields, sentence):
    with pytest.raises(LampeError, match=sentence):
        LampeLM(pretrained=str(folder), **fields)


def test_the_method_is_set_for_a_length(folder):
    model = LampeLM(pretrained=str(folder), positional="pi", for_length=512)
    assert model.llm.positional.config.factor == 4
    assert model.max_length == 512


def test_max_length_is_what_was_said_or_what_the_checkpoint_takes(folder):
    assert LampeLM(pretrained=str(folder)).max_length == 128
    assert LampeLM(pretrained=str(folder), positional="pi", for_length=512, max_length=300).max_length == 300


def test_loading_options_reach_the_model(folder):
    model = LampeLM(pretrained=str(folder), dtype="bfloat16", attention="chunked", prefill_chunk=32, device="cpu")
    info = model.get_model_info()
    assert info["lampe"]["attention"]["kind"] == "chunked"
    assert (info["model_dtype"], info["lampe"]["prefill_chunk"], info["lampe"]["device"]) == ("bfloat16", 32, "cpu")


def test_add_bos_token_needs_a_bos(tmp_path):
    from tests.evaluation.tiny import checkpoint

    checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="add_bos_token = True: the tokenizer of this checkpoint has no BOS"):
        LampeLM(pretrained=str(tmp_path), add_bos_token=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"max_new_tokens": 99}),
        ({"until": "a", "max_gen_toks": 3}, {"stop": ("a",), "max_new_tokens": 3}),
        ({"until": ["a", "", "b"], "max_tokens": 3}, {"stop": ("a", "b"), "max_new_tokens": 3}),
        ({"until": None, "max_new_tokens": 3}, {"max_new_tokens": 3}),
        ({"do_sample": False, "temperature": 0.8}, {"max_new_tokens": 99}),
        ({"temperature": 0.8, "top_p": 0.9}, {"max_new_tokens": 99, "temperature": 0.8, "top_p": 0.9}),
        ({"do_sample": True, "temperature": 0.8, "top_k": 5}, {"max_new_tokens": 99, "temperature": 0.8, "top_k": 5}),
        ({"num_beams": 1}, {"max_new_tokens": 99}),
        ({"temperature": None}, {"max_new_tokens": 99}),
        ({"do_sample": False, "temperature": None}, {"max_new_tokens": 99}),
        ({"do_sample": True, "temperature": None}, {"max_new_tokens": 99}),
    ],
)
def test_generation_kwargs(given, expected):
    assert sampling_of(given, 99) == Sampling(**expected)
