from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lampe.errors import ConfigError, TokenizerError
from lampe.evaluation.base import registry
from lampe.evaluation.prompts import Prompts, largest
from lampe.tokenizers import load_tokenizer
from tests.evaluation.tiny import BOS, checkpoint
from tests.tokenizers.templates import LLAMA31, QWEN3

TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ '[assistant]\\n' }}"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory):
    """A tokenizer with BOS and a chat template that writes BOS too."""
    folder = tmp_path_factory.mktemp("chat")
    checkpoint(folder, bos=True)
    (folder / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return load_tokenizer(folder)


def test_the_template_is_applied_once(chat):
    prompts = Prompts(chat)
    ids = prompts.encode("Hello", " The answer is")
    assert prompts.templated
    assert ids.count(BOS) == 1
    assert ids[0] == BOS
    assert chat.decode(ids[1:]) == "[user] Hello\n[assistant] The answer is"


def test_without_the_template_the_answer_goes_on_from_the_text(chat, tiny):
    for prompts in (Prompts(chat, "none"), Prompts(tiny[0].tokenizer)):
        ids = prompts.encode("Hello", " The answer is")
        assert not prompts.templated
        assert ids.count(BOS) == (1 if prompts.tokenizer is chat else 0)
        assert prompts.tokenizer.decode(ids) == "Hello The answer is"


@pytest.mark.parametrize("answer", ["", " The answer is"])
def test_what_ends_a_text_does_not_end_a_prompt(tmp_path: Path, answer: str):
    checkpoint(tmp_path, bos=True)
    config = {"bos_token": "<s>", "eos_token": "<s>", "add_bos_token": True, "add_eos_token": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("Hello")[-1] == BOS
    ids = Prompts(tokenizer).encode("Hello", answer)
    assert tokenizer.decode(ids, skip_special=False) == f"<s>Hello{answer}"


def test_prompts_are_the_same_on_any_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoint(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{% set bos_token = '' %}" + LLAMA31)
    tokenizer = load_tokenizer(tmp_path)
    made = []
    for day in (1, 2):

        class Day(datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return datetime(2031, 1, day, tzinfo=tz)

        monkeypatch.setattr("lampe.tokenizers.chat.datetime", Day)
        made.append(Prompts(tokenizer).encode("Hello", "The answer is"))
        assert f"Today Date: 0{day} Jan 2031" in tokenizer.render_chat([{"role": "user", "content": "Hello"}])
    assert made[0] == made[1]
    assert f"Today Date: {date(2024, 7, 26):%d %b %Y}" in tokenizer.decode(made[0])


@pytest.mark.parametrize(("fields", "thoughts"), [({}, ""), ({"enable_thinking": False}, "<think>\n\n</think>\n\n")])
def test_a_task_can_leave_thoughts_out(tmp_path: Path, text: str, fields: dict[str, bool], thoughts: str):
    checkpoint(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(QWEN3)
    tokenizer = load_tokenizer(tmp_path)
    task = registry.create({"kind": "needle", "text": text, "depths": [0.5], **fields})
    (sample,) = task.samples(tokenizer, [900])
    assert tokenizer.decode(sample.ids).endswith(f"<|im_start|>assistant\n{thoughts}")
    # Records of a task that says nothing of thoughts are those from before the field was there.
    for dumped in (task.config.model_dump(mode="json"), json.loads(task.config.model_dump_json())):
        assert {name: value for name, value in dumped.items() if name == "enable_thinking"} == fields
    assert registry.config(task.config.model_dump()) == task.config


def test_a_template_that_is_not_there(tiny):
    with pytest.raises(TokenizerError, match="no chat template"):
        Prompts(tiny[0].tokenizer, "chat")


@given(
    units=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    fixed=st.integers(0, 20),
    length=st.integers(1, 400),
    least=st.integers(0, 3),
)
def test_the_largest_prompt_that_fits(units: list[int], fixed: int, length: int, least: int):
    least = min(least, len(units))
    calls = []

    def size(count: int) -> int:
        assert least <= count <= len(units)
        calls.append(count)
        return fixed + sum(units[:count])

    if size(least) > length:
        with pytest.raises(ConfigError, match=f"of {length} tokens is too short; it needs at least {size(least)}"):
            largest(size, length, least=least, most=len(units), task="t")
        return
    best = max(count for count in range(least, len(units) + 1) if fixed + sum(units[:count]) <= length)
    calls.clear()
    assert largest(size, length, least=least, most=len(units), task="t") == best
    assert len(calls) <= 24


def test_units_without_an_end():
    calls = []
    assert largest(lambda count: calls.append(count) or 7 * count + 5, 65536, task="t") == (65536 - 5) // 7
    assert len(calls) < 16


def test_a_copied_folder_has_the_same_fingerprint(chat, tmp_path: Path):
    chat.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.fingerprint == chat.fingerprint
    assert again.template_fingerprint == chat.template_fingerprint
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE + " ")
    changed = load_tokenizer(tmp_path)
    assert changed.fingerprint != chat.fingerprint
    assert changed.template_fingerprint != chat.template_fingerprint
