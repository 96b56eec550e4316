"""Chat templates: the Jinja program with which a checkpoint writes a conversation down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Final, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lampe.errors import TokenizerError, explain
from lampe.tokenizers.files import MORE_TEMPLATES, TokenizerFiles


def _is_text(part: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # The models read text: an image that a template leaves out would be lost without a word.
    if part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise ValueError("a part must be {'type': 'text', 'text': '...'}")
    return part


class Message(BaseModel):
    """One turn of a conversation.

    Attributes:
        role: who speaks, e.g. "system", "user" or "assistant"; the template says which it knows.
        content: what is said, a string or a list of parts {"type": "text", "text": "..."}. Beside tool_calls it may be
            None or missing.

    Other fields a template may read (name, tool_calls, reasoning_content, ...) are passed on; they must be JSON.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    role: str = Field(min_length=1)
    content: str | list[Annotated[dict[str, JsonValue], AfterValidator(_is_text)]] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if self.content is None and not (self.model_extra or {}).get("tool_calls"):
            state = "content = None" if "content" in self.model_fields_set else "'content' is missing"
            raise ValueError(f"{state}: only a turn with tool_calls may do without")
        return self


OWN_VARIABLES = ("messages", "add_generation_prompt", "continue_final_message", "answer", "today")


def checked_variables(variables: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a caller wants a template to read besides the conversation.

    Raises:
        TokenizerError: one has a name that says how the conversation itself is written.
    """
    if own := next((name for name in variables or {} if name in OWN_VARIABLES), None):
        raise TokenizerError(f"variable {own!r} is not one of the template's own, such as enable_thinking or tools")
    return dict(variables or {})


_Variables = TypeAdapter(dict[str, JsonValue])

_DEFAULT, _TOOLS = "default", "tool_use"

_MARK: Final = "CONTINUE_FINAL_MESSAGE_TAG "
"""Put behind the words of a turn that stays open. It is transformers' own, and ends with a space as theirs does."""


class ChatTemplate:
    """A chat template, rendered in Jinja's immutable sandbox with the functions that transformers gives it.

    Args:
        text: in Jinja's language.
        named: further templates by their names. The one named "tool_use" writes conversations with tools, as in
            transformers.

    Raises:
        TokenizerError: a template that conversations are written with does not parse.
    """

    def __init__(self, text: str, named: Mapping[str, str] = MappingProxyType({})):
        self.text = text
        self.named = MappingProxyType(dict(named))
        self._template = _parsed(text, "the chat template")
        self._with_tools = self._template
        if _TOOLS in named:
            self._with_tools = _parsed(named[_TOOLS], f"the chat template {_TOOLS!r}")

    @classmethod
    def load(cls, folder: str | Path) -> ChatTemplate | None:
        """The template of a checkpoint folder: chat_template.jinja, else tokenizer_config.json; None without one.

        Named ones stand in additional_chat_templates, or in the list that tokenizer_config.json has instead of one.

        Raises:
            TokenizerError: a template does not parse, or of several named ones none is "default".
        """
        return cls.from_files(TokenizerFiles.read(folder))

    @classmethod
    def from_files(cls, files: TokenizerFiles) -> ChatTemplate | None:
        """As `load`, from files that are already read."""
        named = {
            PurePosixPath(name).stem: files.text(name) for name in files.contents if name.startswith(MORE_TEMPLATES)
        }
        if "chat_template.jinja" in files:
            named = {_DEFAULT: files.text("chat_template.jinja"), **named}
        # Files of their own come before the entry in the config, all of it, as in transformers.
        if _DEFAULT not in named:
            named = {**_stated(files.json("tokenizer_config.json").get("chat_template")), **named}
        default = named.pop(_DEFAULT, None)
        return None if default is None else cls(default, named)

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        add_generation_prompt: bool = True,
        *,
        continue_final_message: bool = False,
        today: date | None = None,
        bos_token: str | None = None,
        eos_token: str | None = None,
        **variables: Any,
    ) -> str:
        """Write a conversation down.

        Args:
            messages: role and content of every turn, the oldest first.
            add_generation_prompt: end with the opening of the assistant's turn.
            continue_final_message: end with the words of the last turn instead, so that they can go on; with the space
                behind them where the template keeps it, as transformers does.
            today: the day that the template says it is, where it says one (`strftime_now`); None is this very day.
            bos_token: text of the token that begins a text; left undefined when None.
            eos_token: text of the token that ends one; left undefined when None.
            variables: what else the template reads, as JSON values. Where there are `tools`, the template named
                "tool_use" is taken if there is one.

        Raises:
            TokenizerError: a message lacks role or content, the template raises an error, or the words that should go
                on are no string or are rewritten by it.
        """
        named = {"bos_token": bos_token, "eos_token": eos_token}
        context = {"tools": None, "documents": None, **variables}
        context.update({name: text for name, text in named.items() if text is not None})
        try:
            # A template is a program from strangers: it sees plain JSON, never an object with methods of its own.
            context = dict(_Variables.validate_python(context))
        except ValidationError as error:
            raise TokenizerError(explain(error, "chat template variables", context)) from None
        if today is not None:
            context["strftime_now"] = today.strftime
        turns = _plain(messages)
        words: Any = turns[-1].get("content")
        if continue_final_message:
            if not isinstance(words, str):
                raise TokenizerError(f"messages[{len(turns) - 1}]: content = {words!r}: only a string can be continued")
            add_generation_prompt = False
            turns[-1]["content"] = words + _MARK
        template = self._template if context["tools"] is None else self._with_tools
        try:
            text = template.render(messages=turns, add_generation_prompt=add_generation_prompt, **context)
        except Exception as error:
            raise TokenizerError(f"the chat template refuses these messages: {error}") from error
        return _up_to_mark(text, words) if continue_final_message else text


def _parsed(text: str, subject: str) -> Template:
    try:
        return _environment().from_string(text)
    except TemplateError as error:
        raise TokenizerError(f"{subject} does not parse: {error}") from error


def _stated(templates: Any) -> dict[str, str]:
    """The templates of tokenizer_config.json by their names, "default" among them unless there are none."""
    if templates is None:
        return {}
    if isinstance(templates, str):
        return {_DEFAULT: templates}
    if not isinstance(templates, list) or not all(map(_is_named, templates)):
        raise TokenizerError("tokenizer_config.json: chat_template must be a string or a list of named templates")
    named = {item["name"]: item["template"] for item in templates}
    if _DEFAULT not in named:
        names = ", ".join(map(repr, named))
        raise TokenizerError(f"tokenizer_config.json: chat_template has {names}, but none is named {_DEFAULT!r}")
    return named


def _is_named(item: Any) -> bool:
    return isinstance(item, Mapping) and all(isinstance(item.get(key), str) for key in ("name", "template"))


def _plain(messages: Sequence[Message | Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(messages, (str, Mapping)) or not messages:
        raise TokenizerError(f"messages = {messages!r}: a non-empty list of role and content is expected")
    turns = []
    for index, message in enumerate(messages):
        try:
            fields = Message.model_validate(message).model_dump(exclude_unset=True)
        except ValidationError as error:
            raise TokenizerError(explain(error, f"messages[{index}]", Message.model_fields)) from None
        # A template may print a whole message, so its keys stay in the caller's order.
        order = message if isinstance(message, Mapping) else fields
        turns.append({name: fields[name] for name in order})
    return turns


def _up_to_mark(text: str, words: str) -> str:
    """What stands before the mark, if the words do."""
    before, mark, after = text.rpartition(_MARK.strip())
    if not after.startswith(" "):
        # A template that trims the space of the mark would have trimmed that of the words.
        before = before.rstrip()
    if not mark or not before.rstrip().endswith(words.strip()):
        raise TokenizerError("the chat template rewrites the last turn, so the answer cannot go on from its words")
    return before


class _GenerationTag(Extension):
    """`{% generation %}` marks the assistant's words for training masks; when rendering it changes nothing."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _GuardedNamespace(Namespace):
    """Refuses underscore names, through which a template could reach Python's internals."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *values = args
        for name in dict(*values, **kwargs):
            _refuse_private(name)
        Namespace.__init__(self, *values, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: str) -> None:
    if name.startswith("_"):
        raise SecurityError(f"a chat template may not set {name!r} on a namespace")


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, "jinja2.ext.loopcontrols"]
    )
    # Jinja's own filter escapes HTML, which no model was trained on.
    environment.filters["tojson"] = _tojson
    environment.globals.update(
        raise_exception=_raise_exception,
        strftime_now=lambda form: datetime.now().strftime(form),
        namespace=_GuardedNamespace,
    )
    return environment
