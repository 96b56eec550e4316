"""Chat templates against transformers' own rendering."""

from __future__ import annotations

import json
import re
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from lampe.errors import TokenizerError
from lampe.tokenizers import ChatTemplate, Message, load_tokenizer
from tests.tokenizers.conftest import Case
from tests.tokenizers.judges import added, bos_template, byte_alphabet, document, write
from tests.tokenizers.templates import LLAMA2, LLAMA3, LLAMA31, MISTRAL, QWEN3, SMOLLM2, TEMPLATES

USER = {"role": "user", "content": " What's 2 + 2?\n"}
ANSWER = {"role": "assistant", "content": "<think>\neasy\n</think>\n\nFour — 4 <b>"}
SYSTEM = {"role": "system", "content": "Be brief. 请简洁"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"b": 2, "a": "é<"}}}],
}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one turn": [USER],
    "system": [SYSTEM, USER],
    "three turns": [USER, ANSWER, USER],
    "system and three turns": [SYSTEM, USER, ANSWER, {"role": "user", "content": "<|im_end|> twice"}],
    "answered": [SYSTEM, USER, ANSWER],
    "tool": [USER, CALL, {"role": "tool", "name": "add", "content": "4"}, {"role": "tool", "content": "5"}],
    "reasoning": [USER, {**ANSWER, "reasoning_content": "because\n"}],
}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {}}}}}]
NAMED: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>"}


def _judged(template: str, messages: list[dict[str, Any]], **variables: Any) -> str:
    rendered: Any = render_jinja_template([messages], chat_template=template, **variables)
    text: str = rendered[0][0]
    return text


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_text_equals_transformers(name: str, conversation: str) -> None:
    messages = CONVERSATIONS[conversation]
    compiled = ChatTemplate(TEMPLATES[name])
    choices: list[dict[str, Any]] = [{}, {"tools": TOOLS}, {"enable_thinking": False}]
    for variables, add_generation_prompt in product(choices, [False, True]):
        variables = {**variables, **NAMED}
        try:
            expected = _judged(TEMPLATES[name], messages, add_generation_prompt=add_generation_prompt, **variables)
        except Exception as error:
            with pytest.raises(TokenizerError, match=re.escape(str(error))):
                compiled.render(messages, add_generation_prompt, **variables)
        else:
            assert compiled.render(messages, add_generation_prompt, **variables) == expected


@pytest.mark.parametrize("words", ["The answer is", "The answer is ", " The  "])
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_turn_that_goes_on_equals_transformers(name: str, words: str) -> None:
    messages = [USER, {"role": "assistant", "content": words}]
    expected = _judged(TEMPLATES[name], messages, continue_final_message=True, **NAMED)
    assert ChatTemplate(TEMPLATES[name]).render(messages, continue_final_message=True, **NAMED) == expected


def test_a_turn_that_the_template_rewrites_cannot_go_on() -> None:
    for template in ("{{ messages[1].content | upper }}", "{{ messages[0].content }}", "The answer"):
        with pytest.raises(TokenizerError, match="rewrites the last turn, so the answer cannot go on from its words"):
            ChatTemplate(template).render([USER, ANSWER], continue_final_message=True)


def test_the_day_of_a_conversation_can_be_given() -> None:
    text = ChatTemplate(LLAMA31).render([USER], today=date(2020, 2, 3), **NAMED)
    assert "Today Date: 03 Feb 2020\n" in text
    days = [f"Today Date: {date.today():%d %b %Y}\n"]
    text = ChatTemplate(LLAMA31).render([USER], **NAMED)
    assert any(day in text for day in [*days, f"Today Date: {date.today():%d %b %Y}\n"])


def test_what_the_templates_say() -> None:
    llama2 = ChatTemplate(LLAMA2).render([SYSTEM, USER, ANSWER], **NAMED)
    assert llama2 == (
        "<s>[INST] <<SYS>>\nBe brief. 请简洁\n<</SYS>>\n\n What's 2 + 2? [/INST] "
        "<think>\neasy\n</think>\n\nFour — 4 <b> </s>"
    )
    mistral = ChatTemplate(MISTRAL).render([Message(role="user", content="hi")], **NAMED)
    assert mistral == "<s>[INST] hi [/INST]"
    llama3 = ChatTemplate(LLAMA3)
    opening = "<s><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
    assert llama3.render([{"role": "user", "content": "hi"}], add_generation_prompt=False, **NAMED) == opening
    prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    assert llama3.render([{"role": "user", "content": "hi"}], **NAMED) == opening + prompt


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([ANSWER], "Conversation roles must alternate user/assistant/user/assistant/..."),
        ([USER, USER], "Conversation roles must alternate"),
        ([SYSTEM], "Conversation roles must alternate"),
    ],
)
def test_what_a_template_refuses(messages: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(TokenizerError, match=f"chat template refuses these messages: {re.escape(reason)}"):
        ChatTemplate(MISTRAL).render(messages, **NAMED)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% if %}", "does not parse: Expected an expression"),
        ("{% for m in messages %}", "does not parse: Unexpected end of template"),
        ("{{ messages | shout }}", "does not parse: No filter named 'shout'"),
        ("{{ nothing.at_all }}", "refuses these messages: 'nothing' is undefined"),
        ("{{ bos_token + 'x' }}", "refuses these messages: 'bos_token' is undefined"),
        ("{{ messages + 1 }}", "refuses these messages: can only concatenate list"),
        ("{{ messages.append(1) }}", "refuses these messages"),
        ("{{ ''.__class__.__mro__ }}", "refuses these messages: access to attribute '__class__'"),
        ("{% set ns = namespace() %}{% set ns.__init__ = 1 %}", "refuses these messages: a chat template may not set"),
        ("{{ range(10000000) | list }}", "refuses these messages: Range too big"),
    ],
)
def test_a_broken_or_hostile_template(text: str, reason: str) -> None:
    with pytest.raises(TokenizerError, match=re.escape(reason)):
        ChatTemplate(text).render([USER])


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "messages = []: a non-empty list"),
        ("hello", "messages = 'hello': a non-empty list"),
        (USER, "a non-empty list of role and content is expected"),
        ([USER, {"role": "user"}], "messages[1]: 'content' is missing: only a turn with tool_calls may do without"),
        ([{"role": "user", "content": None}], "messages[0]: content = None: only a turn with tool_calls may do"),
        ([{"role": "user", "tool_calls": []}], "messages[0]: 'content' is missing"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a part must be {'type': 'text', 'text': '...'}"),
        ([{"role": "user", "content": [{"type": "text"}]}], "a part must be {'type': 'text', 'text': '...'}"),
        ([{"content": "x"}], "messages[0]: 'role' is missing"),
        ([{"role": "", "content": "x"}], "messages[0]: role = ''"),
        (
            [{"role": "user", "content": 3}],
            "messages[0]: content = 3: input should be a valid string, or input should be a valid list",
        ),
        ([{"role": "user", "content": "x", "images": [Path("x")]}], "messages[0]: images"),
        (["hello"], "messages[0]"),
    ],
)
def test_messages_that_are_none(messages: Any, reason: str) -> None:
    with pytest.raises(TokenizerError, match=re.escape(reason)):
        ChatTemplate(SMOLLM2).render(messages)


def test_a_variable_that_is_an_object() -> None:
    with pytest.raises(TokenizerError, match="chat template variables: documents"):
        ChatTemplate("{{ documents[0].unlink() }}").render([USER], documents=[Path("x")])


def test_messages_are_immutable_and_keep_other_fields() -> None:
    message = Message.model_validate({**CALL, "name": "x"})
    with pytest.raises(ValidationError, match="frozen"):
        message.role = "user"  # type: ignore[misc]
    template = ChatTemplate("{{ messages | tojson }}")
    assert json.loads(template.render([message])) == [{**CALL, "name": "x"}]
    assert template.render([{"content": "a", "role": "b"}]) == '[{"content": "a", "role": "b"}]'


def _config(folder: Path, **fields: Any) -> Path:
    (folder / "tokenizer_config.json").write_text(json.dumps(fields))
    return folder


def test_where_a_template_is_found(tmp_path: Path) -> None:
    assert ChatTemplate.load(tmp_path) is None
    assert ChatTemplate.load(_config(tmp_path, chat_template=None)) is None
    found = ChatTemplate.load(_config(tmp_path, chat_template="plain"))
    assert found is not None
    assert found.render([USER]) == "plain"
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "the default"}]
    found = ChatTemplate.load(_config(tmp_path, chat_template=named))
    assert found is not None
    assert found.render([USER]) == "the default"
    (tmp_path / "chat_template.jinja").write_text("a file of its own")
    found = ChatTemplate.load(tmp_path)
    assert found is not None
    assert found.render([USER]) == "a file of its own"


NAMES = "{{ messages | length }} {{ tools | tojson }}"
LISTED = [{"name": "default", "template": "listed"}, {"name": "tool_use", "template": f"listed, tools {NAMES}"}]


@pytest.mark.parametrize("stated", [None, "plain", LISTED, LISTED[:1], [*LISTED, {"name": "rag", "template": "rag"}]])
@pytest.mark.parametrize(
    "written",
    [
        {},
        {"chat_template.jinja": "a file"},
        {"chat_template.jinja": "a file", "additional_chat_templates/tool_use.jinja": f"a file, tools {NAMES}"},
        {"chat_template.jinja": "a file", "additional_chat_templates/rag.jinja": "rag"},
        {"additional_chat_templates/default.jinja": "default", "additional_chat_templates/tool_use.jinja": NAMES},
    ],
    ids=["no files", "one file", "tools", "rag", "both beside"],
)
def test_named_templates_are_taken_as_transformers_takes_them(
    tmp_path: Path, stated: Any, written: dict[str, str]
) -> None:
    vocab = {text: n for n, text in enumerate(byte_alphabet())}
    write(tmp_path, document(vocab, []), tokenizer_class="PreTrainedTokenizerFast", chat_template=stated)
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    tokenizer, judge = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    if judge.chat_template is None:
        assert tokenizer.chat_template is None
        return
    for tools in (None, [], TOOLS):
        expected = judge.apply_chat_template([USER], tools=tools, tokenize=False)
        assert tokenizer.render_chat([USER], tools=tools) == expected
    tokenizer.save(tmp_path / "copy")
    assert load_tokenizer(tmp_path / "copy").render_chat([USER], tools=TOOLS) == expected


CALLED = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
PARTS = [{"text": "What's", "type": "text"}, {"type": "text", "text": " 2?", "cached": True}]
WHOLE = "{% for m in messages %}{{ m }}{{ m | tojson }}{{ m.content }}{{ m.content is defined }}{% endfor %}"


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "tool_calls": CALLED},
        {"tool_calls": CALLED, "role": "assistant"},
        {"role": "assistant", "content": None, "tool_calls": CALLED},
        {"content": "Let me see", "role": "assistant", "tool_calls": CALLED},
        {"role": "assistant", "content": PARTS},
    ],
)
@pytest.mark.parametrize("name", ["whole", *TEMPLATES])
def test_what_a_turn_leaves_out_or_cuts_in_parts_is_passed_on(name: str, turn: dict[str, Any]) -> None:
    template = WHOLE if name == "whole" else TEMPLATES[name]
    messages = [USER, turn, {"role": "tool", "content": PARTS}]
    try:
        expected = _judged(template, messages, **NAMED)
    except Exception as error:
        with pytest.raises(TokenizerError, match=re.escape(str(error))):
            ChatTemplate(template).render(messages, add_generation_prompt=False, **NAMED)
        return
    assert ChatTemplate(template).render(messages, add_generation_prompt=False, **NAMED) == expected
    made = [Message.model_validate(message) for message in messages]
    if name != "whole":  # which shows the order of the keys, and the fields of a message have their own
        assert ChatTemplate(template).render(made, add_generation_prompt=False, **NAMED) == expected


@pytest.mark.parametrize("turn", [CALL | {"content": None}, {"role": "user", "content": PARTS}])
def test_only_a_string_can_go_on(turn: dict[str, Any]) -> None:
    with pytest.raises(TokenizerError, match=r"messages\[1\]: content = .*: only a string can be continued"):
        ChatTemplate(SMOLLM2).render([USER, turn], continue_final_message=True)


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ([{"name": "rag", "template": "x"}], "chat_template has 'rag', but none is named 'default'"),
        (3, "chat_template must be a string or a list"),
        (["x"], "chat_template must be a string or a list"),
        ([{"name": ["default"], "template": "x"}], "chat_template must be a string or a list"),
        (
            [{"name": "default", "template": "x"}, {"name": "tool_use", "template": "{% if %}"}],
            "the chat template 'tool_use' does not parse",
        ),
        ([{"name": "default"}], "chat_template must be a string or a list"),
        ("{% if %}", "does not parse"),
    ],
)
def test_a_template_that_cannot_be_read(tmp_path: Path, stated: Any, reason: str) -> None:
    with pytest.raises(TokenizerError, match=reason):
        ChatTemplate.load(_config(tmp_path, chat_template=stated))


def test_a_conversation_as_ids(smollm2: Case) -> None:
    ids = smollm2.tokenizer.encode_chat([USER])
    text = ChatTemplate(SMOLLM2).render([USER])
    assert ids == smollm2.judge.encode(text).ids
    assert smollm2.tokenizer.decode(ids, skip_special=False) == text
    assert ids[0] == smollm2.tokenizer.special_tokens["<|im_start|>"]
    without = smollm2.tokenizer.encode_chat([USER], add_generation_prompt=False)
    assert ids == [*without, 1, 520, 9531, 198]


@pytest.mark.parametrize(
    ("template", "begun"),
    [("{{ bos_token }}{{ messages[0].content }}", [256]), ("{{ messages[0].content }}", [])],
)
@pytest.mark.parametrize("adds", [{}, {"add_bos_token": True}])
def test_bos_stands_where_the_template_writes_it(
    tmp_path: Path, template: str, begun: list[int], adds: dict[str, Any]
) -> None:
    vocab = {text: n for n, text in enumerate(byte_alphabet())}
    content = document(vocab, [], added_tokens=[added("<s>", 256)], post_processor=bos_template("<s>", 256))
    fields = {"bos_token": "<s>", "chat_template": template, "tokenizer_class": "PreTrainedTokenizerFast", **adds}
    write(tmp_path, content, **fields)
    tokenizer, messages = load_tokenizer(tmp_path), [{"role": "user", "content": "!!"}]
    assert tokenizer.encode("!!") == [256, 33, 33]
    judge = AutoTokenizer.from_pretrained(tmp_path)
    assert judge.apply_chat_template(messages)["input_ids"] == [*begun, 33, 33]
    assert tokenizer.encode_chat(messages) == [*begun, 33, 33]
    assert tokenizer.encode_chat(messages, bos_token="<s>") == [*begun, 33, 33]
    assert tokenizer.encode_chat(messages, answer='"') == [*begun, 33, 33, 34]


def test_what_ends_a_text_does_not_end_an_opened_turn(tmp_path: Path) -> None:
    vocab = {text: n for n, text in enumerate(byte_alphabet())}
    content = document(vocab, [], added_tokens=[added("</s>", 256)])
    write(tmp_path, content, eos_token="</s>", add_eos_token=True, chat_template="{{ messages[0].content }}")
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("!!") == [33, 33, 256]
    assert tokenizer.encode_prompt("!!") == [33, 33]
    assert tokenizer.encode_prompt("!</s>!", parse_special=True) == [33, 256, 33]
    assert tokenizer.encode_chat([{"role": "user", "content": "!!"}], answer='"') == [33, 33, 34]


def _answered(folder: Path, template: str, answer: str) -> str:
    """What stands after the question, of a chat whose answer has begun."""
    vocab = {text: n for n, text in enumerate(byte_alphabet())}
    content = document(vocab, [], added_tokens=[added("<s>", 256), added("</s>", 257)])
    write(folder, content, **NAMED, chat_template=template)
    tokenizer = load_tokenizer(folder)
    # The question says what the answer will: that must not be taken for it.
    ids = tokenizer.encode_chat([{"role": "user", "content": "The what? Q"}], answer=answer)
    return tokenizer.decode(ids, skip_special=False).rpartition("Q")[2]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (LLAMA2, " [/INST] The"),
        (LLAMA3, "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nThe"),
        (MISTRAL, " [/INST]The"),
        (SMOLLM2, "<|im_end|>\n<|im_start|>assistant\nThe"),
        (QWEN3, "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nThe"),
    ],
)
@pytest.mark.parametrize("space", ["", " "])
def test_an_answer_begins_where_the_template_puts_its_words(
    tmp_path: Path, template: str, expected: str, space: str
) -> None:
    assert _answered(tmp_path, template, "The" + space) == expected + space


@pytest.mark.parametrize(
    "turn",
    ["", "{{ m.content | upper }}", "{{ raise_exception('only questions') }}"],
    ids=["left out", "rewritten", "refused"],
)
def test_an_answer_that_the_template_does_not_write_follows_the_generation_prompt(tmp_path: Path, turn: str) -> None:
    template = f"{{% for m in messages %}}{{% if loop.first %}}{{{{ m.content }}}}{{% else %}}{turn}{{% endif %}}"
    template += "{% endfor %}{% if add_generation_prompt %} >{% endif %}"
    assert _answered(tmp_path, template, "The ") == " >The "


def test_no_template_at_all(qwen: Case) -> None:
    assert qwen.tokenizer.chat_template is None
    with pytest.raises(TokenizerError, match=r"looked for chat_template\.jinja and for chat_template in"):
        qwen.tokenizer.encode_chat([USER])
