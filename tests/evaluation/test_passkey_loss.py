from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lampe.errors import ConfigError
from lampe.evaluation import PasskeyLoss, Runner
from lampe.evaluation.passkey_loss import question_and_answer

LENGTHS = (200, 320)


def samples(tokenizer, text, **fields):
    return list(PasskeyLoss(text=text, places=2, keys=3, **fields).samples(tokenizer, LENGTHS))


def test_a_prompt_ends_with_the_key_that_it_hides(tiny, text):
    llm, _ = tiny
    made = samples(llm.tokenizer, text)
    assert len(made) == 2 * 3 * 2
    for sample in made:
        key, at = sample.references[0], int(sample.facts["at"])
        assert len(sample.ids) == sample.length
        assert llm.tokenizer.decode(list(sample.ids[at:])).startswith(f"\n\nThe pass key is {key}. Remember it.")
        assert llm.tokenizer.decode(list(sample.ids)).endswith(f"\n\nThe pass key is {key}")
        assert llm.tokenizer.decode(list(sample.ids[-int(sample.facts["scored"]) :])) == f" {key}"
        assert llm.tokenizer.decode(list(sample.ids)).count(key) == 3
    assert [sample.ids for sample in samples(llm.tokenizer, text)] == [sample.ids for sample in made]
    assert {sample.references for sample in samples(llm.tokenizer, text, seed=1)}.isdisjoint(
        {sample.references for sample in made}
    )


def test_depths_are_random_and_the_same_at_every_length(tiny, text):
    made = samples(tiny[0].tokenizer, text)
    by_length = {n: [(s.trial, s.facts["key"], s.facts["depth"]) for s in made if s.length == n] for n in LENGTHS}
    assert by_length[200] == by_length[320]
    depths = [depth for _, _, depth in by_length[200]]
    assert [int(6 * depth) for depth in sorted(depths)] == [0, 1, 2, 3, 4, 5]
    assert depths != sorted(depths)
    for length, trial in ((length, trial) for length in LENGTHS for trial in (0, 1)):
        group = sorted((s.facts["depth"], s.facts["at"]) for s in made if (s.length, s.trial) == (length, trial))
        assert [at for _, at in group] == sorted(at for _, at in group)


def test_the_score_is_the_loss_of_the_keys_tokens(tiny, text):
    llm, reference = tiny
    runner = Runner(llm.with_positional("rope"), "RoPE")
    for sample in samples(llm.tokenizer, text)[::5]:
        ids = torch.tensor([list(sample.ids)])
        with torch.inference_mode():
            logits = reference(ids).logits[0].double()
        k = len(" 12345")
        expected = F.cross_entropy(logits[-k - 1 : -1], ids[0, -k:])
        record = runner.run(sample)
        assert record.score == pytest.approx(float(expected), rel=1e-4)
        assert record.output == llm.tokenizer.decode(logits[-k - 1 : -1].argmax(-1).tolist())


def test_every_document_is_used_and_bos_stays_first(tiny_bos, text, tmp_path):
    (tmp_path / "short.txt").write_text("A short text. It is repeated. ")
    made = samples(tiny_bos.tokenizer, (text, str(tmp_path)))
    assert [sample.facts["document"] for sample in made if sample.trial < 2] == ["river.txt"] * 6 + ["short.txt"] * 6
    assert {sample.trial for sample in made} == {0, 1, 2, 3}
    bos = tiny_bos.tokenizer.encode("")[0]
    assert {sample.ids[0] for sample in made} == {bos}
    assert all(len(sample.ids) == sample.length for sample in made)


def test_a_tokenizer_may_merge_question_and_answer():
    class Merging:
        def encode(self, text, add_special=True):
            return [ord(c) for c in text.replace("is ", "§")]

    asked, answer = question_and_answer(Merging(), "123")
    assert "".join(map(chr, asked)) == "\n\nThe pass key "
    assert "".join(map(chr, answer)) == "§123"


def test_a_length_without_room_is_refused(tiny, text):
    with pytest.raises(ConfigError) as error:
        list(PasskeyLoss(text=text).samples(tiny[0].tokenizer, [83, 400]))
    assert str(error.value) == (
        "task 'passkey-loss': a prompt of 83 tokens has no room for prose; the key and the question take 83"
    )
    with pytest.raises(ConfigError, match=r"^task 'passkey-loss': the text leaves too few numbers of 2 digits for 300"):
        list(PasskeyLoss(text=text, digits=2, keys=100).samples(tiny[0].tokenizer, [300]))
