"""lampe's model of the lm-evaluation-harness against the harness's own, under RoPE and in fp32."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from lampe.errors import ConfigError, TokenizerError
from tests.evaluation.tiny import BOS, LINE, prose
from tests.integrations import harness
from tests.integrations.harness import requests

pytest.importorskip("lm_eval", reason="the lm-evaluation-harness is not installed")

from lampe.integrations.lm_eval import LampeLM, scoring
from lampe.tokenizers.chat import ChatTemplate

LONG = prose(12)
WINDOW = 128

ROWS = [(LONG[:length], LONG[length : length + 4]) for length in (40, 41, 90, 170, 170, 171, 250, 333, 333, 396)]
"""Requests of few different lengths, beyond the trained window too."""

PAIRS = [
    ("", "the river"),
    ("", "<s>the river"),
    ("the river ", "carried"),
    ("the river", " carried seven"),
    *[(LINE[:begin], LINE[begin : begin + width]) for begin in (5, 17, 40) for width in (1, 2, 9)],
    *[(f"{LINE[:60]} Answer:", f" {letter}") for letter in "ABCD"],
    *[(LONG[:60], letter) for letter in "abc"],
    (LONG[:80], LONG[80:128]),
    (LONG[:100], LONG[100:129]),
    (LONG[:100], LONG[100:130]),
    (LONG[:400], LONG[400:420]),
    (LONG[:5], LONG[5 : 5 + WINDOW]),
    ("naïve café", " déjà vu ☕"),
]


@pytest.fixture(scope="module", params=[1, 4])
def model(request, folder):
    return LampeLM(pretrained=str(folder), positional="rope", dtype="float32", batch_size=request.param)


def close(found, expected):
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)


def test_loglikelihoods_are_those_of_the_harness(model, reference):
    asked = requests("loglikelihood", *PAIRS)
    found = model.loglikelihood(asked, disable_tqdm=True)
    close(found, reference.loglikelihood(asked, disable_tqdm=True))
    # BOS before an empty context, written or not, is the same; nothing else is.
    assert len({round(value, 3) for value, _ in found}) == len(PAIRS) - 1


def test_a_greedy_continuation_is_recognised(model, reference):
    [answer] = model.generate_until(requests("generate_until", (LINE, {"max_gen_toks": 8})), disable_tqdm=True)
    asked = requests("loglikelihood", (LINE, answer), (LINE, answer[:-1] + "~"), (LINE, "~" + answer[1:]))
    found = model.loglikelihood(asked, disable_tqdm=True)
    assert [greedy for _, greedy in found] == [True, False, False]
    close(found, reference.loglikelihood(asked, disable_tqdm=True))


def test_a_context_of_spaces_is_part_of_the_continuation(model):
    asked = requests("loglikelihood", ("  ", "boats"), ("", "  boats"))
    found = model.loglikelihood(asked, disable_tqdm=True)
    assert found[0] == found[1]


def test_rolling_loglikelihoods_are_those_of_the_harness(model, reference):
    texts = [LONG, LONG[: WINDOW + 1], LONG[:WINDOW], "the river", "t", ""]
    asked = requests("loglikelihood_rolling", *[(text,) for text in texts])
    found = model.loglikelihood_rolling(asked, disable_tqdm=True)
    assert found == pytest.approx(reference.loglikelihood_rolling(asked, disable_tqdm=True), rel=1e-6, abs=1e-4)
    assert found[-1] == 0
    assert found[0] < found[1] < found[2] < found[3]


def test_answers_are_those_of_the_harness(model, reference):
    asked = requests(
        "generate_until",
        *[(LONG[:length], {"until": ["\n\n"], "max_gen_toks": 24}) for length in (5, 60, 61, 100, 104, 105, 300)],
        *[(LONG[length:90], {"until": ["e", "zz"], "max_gen_toks": 40}) for length in (0, 7, 50)],
        (LINE, {"until": "a", "do_sample": False, "temperature": 0.7, "max_new_tokens": 9}),
        (LINE, {"max_gen_toks": 100}),
    )
    found = model.generate_until(asked, disable_tqdm=True)
    assert found == reference.generate_until(asked, disable_tqdm=True)
    assert len(found[-1]) > 20
    assert len(set(found)) > 8


def test_answers_end_before_their_stop_strings(model):
    prompt = LONG[:50]
    [whole] = model.generate_until(requests("generate_until", (prompt, {"max_gen_toks": 60})), disable_tqdm=True)
    stop = whole[20:23]
    asked = requests("generate_until", *[(prompt, {"max_gen_toks": 60, "until": until}) for until in ([stop], [""])])
    found, unstopped = model.generate_until(asked, disable_tqdm=True)
    assert found == whole[: whole.index(stop)] != whole
    assert unstopped == whole


def test_what_is_cut_off_is_said(model, caplog):
    with caplog.at_level(logging.WARNING):
        model.loglikelihood(requests("loglikelihood", (LONG[:400], "a"), (LONG[:40], "a")), disable_tqdm=True)
        model.generate_until(requests("generate_until", (LONG[:100], {"max_gen_toks": 29})), disable_tqdm=True)
    assert "1 of 2 requests have more than max_length = 128 tokens" in caplog.text
    assert "1 of 1 requests have more than max_length - max_gen_toks = 99 tokens" in caplog.text


def test_what_cannot_be_scored_or_answered_is_refused(model):
    with pytest.raises(ConfigError, match=r"continuation of 129 tokens.*max_length = 128"):
        model.loglikelihood(requests("loglikelihood", ("the", LONG[:129])), disable_tqdm=True)
    with pytest.raises(ConfigError, match="continuation of 0 tokens"):
        model.loglikelihood(requests("loglikelihood", ("the", "")), disable_tqdm=True)
    with pytest.raises(ConfigError, match=r"max_gen_toks = 128.*max_length = 128"):
        model.generate_until(requests("generate_until", ("the", {"max_gen_toks": 128})), disable_tqdm=True)
    with pytest.raises(ConfigError, match=r"'top_kk' .did you mean 'top_k'"):
        model.generate_until(requests("generate_until", ("the", {"top_kk": 3})), disable_tqdm=True)
    with pytest.raises(ConfigError, match="num_beams"):
        model.generate_until(requests("generate_until", ("the", {"num_beams": 4})), disable_tqdm=True)


def test_sampling_follows_the_global_seed(model):
    asked = requests("generate_until", (LINE, {"do_sample": True, "temperature": 1.5, "max_gen_toks": 20}))

    def answer(seed):
        torch.manual_seed(seed)
        return model.generate_until(asked, disable_tqdm=True)

    assert answer(1) == answer(1) != answer(2)


def test_an_empty_prompt_is_continued_from_the_prefix(model):
    [found] = model.generate_until(requests("generate_until", ("", {"max_gen_toks": 8})), disable_tqdm=True)
    [expected] = model.generate_until(requests("generate_until", ("<s>", {"max_gen_toks": 8})), disable_tqdm=True)
    assert found == expected
    assert len(found) > 2


def test_only_the_continuation_has_logits(model, monkeypatch):
    wanted = []
    forward = type(model.llm.model).forward

    def counting(self, ids, cache, backend, *, last=None):
        wanted.append(ids.numel() if last is None else ids.shape[0] * last)
        return forward(self, ids, cache, backend, last=last)

    monkeypatch.setattr(type(model.llm.model), "forward", counting)
    model.loglikelihood(requests("loglikelihood", (LONG[:90], LONG[90:95])), disable_tqdm=True)
    assert wanted == [5]


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_logits_in_pieces_are_the_same(model, monkeypatch, at_once):
    asked = requests("loglikelihood", *PAIRS)
    expected = model.loglikelihood(asked, disable_tqdm=True)
    monkeypatch.setattr(scoring, "LOGITS_AT_ONCE", at_once)
    close(model.loglikelihood(asked, disable_tqdm=True), expected)


@pytest.fixture(scope="module", params=["lampe:head=16:span=96", "dynamic-ntk"])
def batched(request, folder):
    return LampeLM(pretrained=str(folder), positional=request.param, max_length=400, batch_size=4)


@pytest.fixture(scope="module")
def bos_model(bos_folder):
    return LampeLM(pretrained=str(bos_folder), positional="rope", batch_size=4)


@pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")
class TestLengths:
    """A method that plans by the length of a request."""

    def test_a_score_does_not_depend_on_the_batch(self, batched):
        together = batched.loglikelihood(requests("loglikelihood", *ROWS), disable_tqdm=True)
        alone = [batched.loglikelihood(requests("loglikelihood", row), disable_tqdm=True)[0] for row in ROWS]
        close(together, alone)

    def test_a_score_is_that_of_a_plan_for_the_request(self, batched):
        together = batched.loglikelihood(requests("loglikelihood", *ROWS), disable_tqdm=True)
        for (context, continuation), (found, _) in zip(ROWS, together, strict=True):
            ids = batched.tok_encode(context + continuation)
            # Space at the end of a context belongs to the continuation.
            last = len(ids) - len(batched.tok_encode(context.rstrip()))
            logprobs = batched.llm.logits([ids[:-1]], last=last)[0].log_softmax(dim=-1)
            assert found == pytest.approx(float(logprobs[range(last), ids[-last:]].sum()), abs=1e-4)

    def test_an_answer_does_not_depend_on_the_batch(self, batched):
        asked = requests("generate_until", *[(context, {"max_gen_toks": 4}) for context, _ in ROWS])
        together = batched.generate_until(asked, disable_tqdm=True)
        assert together == [batched.generate_until([each], disable_tqdm=True)[0] for each in asked]
        assert together == [batched.llm.generate(context, max_new_tokens=4) for context, _ in ROWS]

    def test_the_method_is_not_rope(self, batched, folder):
        rope = LampeLM(pretrained=str(folder), positional="rope", max_length=400)
        asked = requests("loglikelihood", *ROWS[-1:])
        [(found, _)], [(plain, _)] = (each.loglikelihood(asked, disable_tqdm=True) for each in (batched, rope))
        assert abs(found - plain) > 0.01


class TestBOS:
    """A checkpoint whose tokenizer begins every text with BOS."""

    def test_loglikelihoods_are_those_of_the_harness(self, bos_model, bos_folder):
        asked = requests("loglikelihood", *PAIRS)
        expected = harness.reference(bos_folder, batch_size=4).loglikelihood(asked, disable_tqdm=True)
        close(bos_model.loglikelihood(asked, disable_tqdm=True), expected)

    def test_a_rolling_text_begins_with_bos_once(self, bos_model, bos_folder):
        asked = requests("loglikelihood_rolling", (LONG,), (LINE,), (f"<s>{LINE}",))
        found = bos_model.loglikelihood_rolling(asked, disable_tqdm=True)
        # The harness's own model would put a second BOS before the text and predict the first.
        other = harness.reference(bos_folder, batch_size=4, add_bos_token=False)
        assert found[:2] == pytest.approx(other.loglikelihood_rolling(asked[:2], disable_tqdm=True), abs=1e-3)
        assert found[2] == found[1]

    @pytest.mark.parametrize("adds", [None, True, False])
    def test_a_templated_prompt_begins_with_bos_once(self, bos_folder, adds):
        model = LampeLM(pretrained=str(bos_folder), add_bos_token=adds)
        turns = [{"role": "user", "content": LINE}]
        text = model.apply_chat_template(turns)
        ids = model.tok_encode(text)
        assert ids == model.tokenizer.encode_chat(turns)
        assert ids.count(BOS) == 1
        assert ids[0] == BOS
        [(_, context, continuation)] = _pairs(model, (text, " yes"))
        assert context == ids
        assert model.tokenizer.decode(continuation) == " yes"

    @pytest.mark.parametrize(("adds", "first"), [(None, BOS), (True, BOS), (False, None)])
    def test_add_bos_token_says_whether_a_plain_prompt_has_it(self, folder, bos_folder, adds, first):
        body = LampeLM(pretrained=str(folder)).tok_encode(LINE)
        expected = body if first is None else [first, *body]
        assert LampeLM(pretrained=str(bos_folder), add_bos_token=adds).tok_encode(LINE) == expected

    def test_add_bos_token_adds_what_the_tokenizer_does_not(self, folder):
        ids = LampeLM(pretrained=str(folder), add_bos_token=True).tok_encode(LINE)
        assert ids == [BOS, *LampeLM(pretrained=str(folder)).tok_encode(LINE)]


def test_an_eos_that_ends_texts_ends_no_context(tmp_path, bos_model):
    path = harness.make(tmp_path, bos=True) / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), "add_bos_token": True, "add_eos_token": True}
    path.write_text(json.dumps(config))
    model = LampeLM(pretrained=str(tmp_path))
    assert model.tokenizer.encode(LINE)[-1] == model.tokenizer.eos_ids[0]
    for adds in (None, True, False):
        assert model.tok_encode(LINE, adds) == bos_model.tok_encode(LINE, adds)
    assert _pairs(model, (LINE, " yes"))[0][1:] == _pairs(bos_model, (LINE, " yes"))[0][1:]


def _pairs(model, pair):
    taken = []
    model._loglikelihood_tokens = lambda pairs, **_: taken.extend(pairs)
    model.loglikelihood(requests("loglikelihood", pair), disable_tqdm=True)
    return taken


class TestChat:
    TURNS = ({"role": "user", "content": "Who rowed? "}, {"role": "assistant", "content": "The answer is "})

    @pytest.mark.parametrize(("turns", "opens"), [(TURNS[:1], True), (TURNS, True), (TURNS, False)])
    def test_conversations_are_written_as_transformers_does(self, model, reference, turns, opens):
        found = model.apply_chat_template(list(turns), add_generation_prompt=opens)
        assert found == reference.apply_chat_template(list(turns), add_generation_prompt=opens)

    def test_an_open_turn_ends_with_its_words(self, model):
        found = model.apply_chat_template(list(self.TURNS), add_generation_prompt=False)
        assert found == "<s>[user] Who rowed? \n[assistant] The answer is "

    def test_a_system_turn_that_the_template_refuses_is_left_out(self, model, caplog):
        found = model.apply_chat_template([{"role": "system", "content": "Be brief."}, self.TURNS[0]])
        assert found == model.apply_chat_template([self.TURNS[0]])
        assert "system turn is left out" in caplog.text

    def test_a_turn_that_the_template_rewrites_cannot_be_left_open(self, model, monkeypatch):
        monkeypatch.setattr(model.tokenizer, "chat_template", ChatTemplate("{{ messages[-1].content | upper }}"))
        assert model.apply_chat_template(list(self.TURNS)) == "THE ANSWER IS "
        with pytest.raises(TokenizerError, match="rewrites the last turn"):
            model.apply_chat_template(list(self.TURNS), add_generation_prompt=False)

    def test_what_the_results_say_of_the_template(self, model):
        assert model.chat_template(True) == model.chat_template("default") == harness.TEMPLATE
        assert model.chat_template(False) is None
        with pytest.raises(ConfigError, match="rag"):
            model.chat_template("rag")

    def test_a_template_is_asked_for_only_where_there_is_one(self, tmp_path):
        from tests.evaluation.tiny import checkpoint

        checkpoint(tmp_path)
        model = LampeLM(pretrained=str(tmp_path))
        with pytest.raises(TokenizerError, match="no chat template"):
            model.apply_chat_template(list(self.TURNS))

    def test_requests_are_cached_by_tokenizer_and_template(self, model, folder, bos_folder):
        names = [LampeLM(pretrained=str(each)).tokenizer_name for each in (folder, folder, bos_folder)]
        assert names[0] == names[1] == model.tokenizer_name != names[2]
        assert "/" not in names[0]
