from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.infinitebench import KVRetrieval
from lampe.evaluation.infinitebench.kv_retrieval import uuid
from lampe.evaluation.infinitebench.scores import kv_retrieval
from lampe.session import shared_prefix
from lampe.tokenizers import Tokenizer, load_tokenizer
from tests.tokenizers import judges

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
USER = (
    "Extract the value corresponding to the specified key in the JSON object below.\n\n"
    'JSON data:\n({.*})\n\n\nKey: "(.*)"\n'
)
OPENING = "The value associated with the specified key is: "


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A sentencepiece model, which cuts a key otherwise between quotation marks than by itself."""
    folder: Path = tmp_path_factory.mktemp("mistral")
    shutil.copy(judges.mistral_model("v1"), folder / "tokenizer.model")
    return load_tokenizer(folder)


def read(prompt: str) -> tuple[dict[str, str], str]:
    """The object and the key of a prompt without a template."""
    match = re.fullmatch(USER + OPENING, prompt)
    assert match
    return json.loads(match[1]), match[2]


@pytest.mark.parametrize(("length", "samples"), [(4096, 3), (8192, 1), pytest.param(65536, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("template", ["chat", "none"])
def test_prompts_are_full_and_official(smollm2, length: int, samples: int, template: str):
    for sample in KVRetrieval(samples=samples, template=template).samples(smollm2, [length]):
        assert 0.99 * length <= len(sample.ids) <= length
        assert (sample.length, sample.new_tokens, sample.shared) == (length, 50, 0)
        assert sample.templated == (template == "chat")
        prompt = smollm2.decode(sample.ids)
        if template == "chat":
            before, prompt = prompt.split("user\n", 1)
            assert before.startswith("system\n")
            user, answer = prompt.split("\nassistant\n")
            prompt = user + answer
        pairs, key = read(prompt)
        assert (pairs[key],) == sample.references
        assert prompt.count(pairs[key]) == 1
        assert prompt.count(key) == 2
        assert len(pairs) == sample.facts["pairs"]
        assert all(re.fullmatch(UUID, text) for pair in pairs.items() for text in pair)
        assert len({*pairs, *pairs.values()}) == 2 * len(pairs)
        assert sample.facts["depth"] == round(list(pairs).index(key) / (len(pairs) - 1), 3)


def test_some_values_are_redrawn_to_fill_a_prompt(smollm2):
    made = [len(sample.ids) for sample in KVRetrieval(samples=20).samples(smollm2, [4096])]
    assert min(made) >= 4094


@pytest.mark.parametrize("length", [4096, 8192])
def test_questions_about_one_context_differ_in_the_key_only(smollm2, length: int):
    samples = list(KVRetrieval(samples=3, questions=5, template="none").samples(smollm2, [length]))
    assert len(samples) == 15
    for trial in range(3):
        group = [sample for sample in samples if sample.trial == trial]
        assert len({len(sample.ids) for sample in group}) == 1
        assert len({tuple(sample.ids[: sample.shared]) for sample in group}) == 1
        assert {sample.shared for sample in group} == {min(shared_prefix(group[0].ids, s.ids) for s in group[1:])}
        read_ = [read(smollm2.decode(sample.ids)) for sample in group]
        assert len({tuple(pairs.items()) for pairs, _ in read_}) == 1
        places = [list(pairs).index(key) for pairs, key in read_]
        step = len(read_[0][0]) / 5
        assert [round((place - places[0]) / step, 0) for place in places] == [0, 1, 2, 3, 4]
        for sample, (pairs, key) in zip(group, read_, strict=True):
            assert sample.references == (pairs[key],)
            rest = smollm2.decode(sample.ids[sample.shared :])
            # Keys may begin with the same digits; nothing of the object is read again.
            assert ('Key: "' + key).endswith(rest.split('"\n')[0])


@pytest.mark.parametrize("length", [1024, 1500])
def test_questions_are_even_where_tokens_cross_the_key(mistral, length: int):
    samples = list(KVRetrieval(samples=12, questions=4).samples(mistral, [length]))
    for trial in range(12):
        (size,) = {len(sample.ids) for sample in samples if sample.trial == trial}
        assert 0.97 * length <= size <= length


def test_no_question_is_longer_than_the_prompt_may_be(mistral, monkeypatch):
    """Keys of any number of tokens: the longest question is the one that is fitted."""
    monkeypatch.setattr(KVRetrieval, "_keys", lambda self, prompts, draws: [uuid(draws) for _ in range(5)])
    samples = list(KVRetrieval(samples=12, questions=5).samples(mistral, [1500]))
    assert len({len(sample.ids) for sample in samples}) > 3
    for trial in range(12):
        assert 1480 <= max(len(sample.ids) for sample in samples if sample.trial == trial) <= 1500


def test_keys_are_spread_over_the_object(smollm2):
    depths = [sample.facts["depth"] for sample in KVRetrieval(samples=10).samples(smollm2, [4096])]
    assert sorted(int(10 * depth) for depth in depths) == pytest.approx(range(10), abs=1)


def test_a_prompt_depends_on_seed_length_and_number_only(tiny):
    tokenizer = tiny[0].tokenizer

    def prompts(lengths=(900,), **fields) -> list[str]:
        return [tokenizer.decode(sample.ids) for sample in KVRetrieval(**fields).samples(tokenizer, lengths)]

    assert prompts(samples=2) == prompts(samples=4)[:2] == prompts(lengths=(900, 1500), samples=2)[::2]
    assert len({*prompts(samples=3), *prompts(samples=3, seed=1)}) == 6


def test_a_length_without_room(tiny):
    with pytest.raises(ConfigError) as error:
        list(KVRetrieval(questions=2).samples(tiny[0].tokenizer, (300,)))
    assert str(error.value) == (
        "task 'infinitebench-kv-retrieval': a prompt of 300 tokens is too short; it needs at least 426"
    )


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("4b0f-1", 1),
        (' "4b0f-1".', 1),
        ("The value is: '4b0f-1'!", 1),
        ('{"a9": "4b0f-1"}', 1),
        ("77aa-2 or 4b0f-1", 1),
        ("4b0f-1a", 0),
        ("x4b0f-1", 0),
        ("4b0f-1;", 0),
        ("(4b0f-1)", 0),
        ("4B0F-1", 0),
        ("4b0f -1", 0),
        ("", 0),
    ],
)
def test_the_value_must_be_a_word(answer: str, score: int):
    assert kv_retrieval(answer, ("4b0f-1",)) == score


@pytest.mark.parametrize(
    ("length", "sha256"),
    [
        (4096, "5e0e8deb9ef2cfbe235ba9c1602d2295e32985343f72e78d0a39ec2506aa58e7"),
        (16384, "6b5d4c7b37ff9a641564e4bfd5468c9539b216e7b1c25c7948833dbda953a5ca"),
    ],
)
def test_prompts_stay_what_measurements_rest_on(smollm2, length: int, sha256: str):
    samples = KVRetrieval(samples=1, questions=8).samples(smollm2, [length])
    text = "\n".join(smollm2.decode(sample.ids) for sample in samples)
    assert hashlib.sha256(text.encode()).hexdigest() == sha256
