"""Positional methods and attention backends as one writes them on a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel

from lampe.errors import ConfigError
from lampe.files import expanded
from lampe.registry import Registry

T = TypeVar("T")

FORMS = 'a name, "name:field=value:field=value", a JSON object, or a .json file'
_NEXT_FIELD = re.compile(r":(?=[A-Za-z_][\w-]*=)")


def parse_spec(registry: Registry[T], text: str, settings: Iterable[str] = ()) -> BaseModel:
    """Read a registered class and its config from `name`, `name:field=value`, a JSON object or a .json file.

    Args:
        registry: what the name belongs to.
        text: one of the four forms.
        settings: more fields as "field=value"; they win over those in `text`.

    Raises:
        UnknownNameError: no class of that name; names the nearest.
        ConfigError: not one of the forms, an unknown field (names the nearest) or a value that is not accepted.
    """
    stripped = text.strip()
    name, *pairs = _NEXT_FIELD.split(stripped)
    if stripped.startswith("{"):
        fields = _object(stripped, f"{registry.noun} {stripped}")
    elif stripped.endswith(".json") and not pairs:
        fields = _file(stripped, registry.noun)
    elif re.fullmatch(r"[\w.-]+", name):
        fields = {"kind": name, **dict(map(parse_setting, pairs))}
    else:
        raise ConfigError(f"{registry.noun} {text!r}: expected {FORMS}")
    return registry.config({**fields, **dict(map(parse_setting, settings))})


def parse_setting(text: str) -> tuple[str, Any]:
    """Read "field=value"; the value is JSON, and what is not JSON is text.

    Raises:
        ConfigError: there is no "=", or nothing before it.
    """
    field, equals, value = text.partition("=")
    field = field.strip().replace("-", "_")
    if not equals or not field:
        raise ConfigError(f"setting {text!r}: expected field=value, such as head=512")
    try:
        return field, json.loads(value)
    except json.JSONDecodeError:
        return field, value


def split_specs(text: str) -> list[str]:
    """Cut a list of specs at its commas, but not at those inside brackets or quotes."""
    return [part for part in map(str.strip, _parts(text)) if part]


def spec_text(config: BaseModel) -> str:
    """The config of a registered class as `parse_spec` reads it: its name and what differs from the defaults."""
    fields = config.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    values = [f"{field}={value if isinstance(value, str) else json.dumps(value)}" for field, value in fields.items()]
    return ":".join([config.model_dump()["kind"], *values])


def _parts(text: str) -> Iterator[str]:
    depth, quoted, begin = 0, False, 0
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        elif not quoted and character in "[{":
            depth += 1
        elif not quoted and character in "]}":
            depth -= 1
        elif character == "," and depth == 0 and not quoted:
            yield text[begin:index]
            begin = index + 1
    yield text[begin:]


def _file(name: str, noun: str) -> dict[str, Any]:
    path = expanded(name)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{noun} file {name} cannot be read: {reason}") from None
    return _object(content, f"{noun} file {name}")


def _object(text: str, subject: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"{subject} is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{subject} holds a JSON {type(fields).__name__}: an object would be accepted")
    return fields
