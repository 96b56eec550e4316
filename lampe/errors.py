"""The errors lampe raises for bad input: one sentence that names the field, the value and what would be accepted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

UNION_MEMBER = re.compile(r"(literal\[|constrained-|dict\[|list\[|tuple\[)|(int|float|str)$")
"""What pydantic puts behind the name of a field that takes several types."""


class LampeError(ValueError):
    """Base of every error that bad input can cause; the command line turns it into one line and exit code 2."""


class ConfigError(LampeError):
    """A config that cannot be understood: a checkpoint's config.json, a method's config or an option."""


class PlanError(LampeError):
    """A length that a positional method, as it is configured, cannot map."""


class UnsupportedPlanError(LampeError):
    """A plan that an attention backend does not take; names one that does."""


class CheckpointError(LampeError):
    """A checkpoint folder or file that cannot be loaded as it stands."""


class TokenizerError(LampeError):
    """Tokenizer or chat-template files that cannot be used as they stand."""


class NotFiniteError(LampeError):
    """A model whose logits are infinite or no numbers."""


class UnknownNameError(LampeError, LookupError):
    """A name that no registry knows."""


class MissingExtraError(LampeError, ImportError):
    """An optional library is not installed; names the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs {library}: pip install 'lampe[{extra}]'")


def closest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest of `known`, or an empty string when none is near."""
    names = {candidate.lower(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f" (did you mean {names[near[0]]!r}?)" if near else ""


def explain(error: ValidationError, subject: str, fields: Iterable[str]) -> str:
    """Put a pydantic error into one sentence: the field, its value, and what would be accepted.

    Args:
        error: what pydantic raised.
        subject: what was being read, e.g. "lampe config".
        fields: the fields that exist, offered when a field is unknown.
    """
    known = list(fields)
    parts = []
    refused: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"] if not UNION_MEMBER.match(str(part)))
        if not item["loc"]:
            parts.append(item["msg"].removeprefix("Value error, "))
        elif item["type"] == "extra_forbidden":
            parts.append(f"unknown field {field!r}{closest(field, known)}; fields: {', '.join(known)}")
        elif item["type"] == "missing":
            parts.append(f"{field!r} is missing")
        else:
            reason = item["msg"].removeprefix("Value error, ")
            refused.setdefault(f"{field} = {_short(item['input'])}", []).append(reason[0].lower() + reason[1:])
    # Each member of a union says why it does not take the value.
    parts += [f"{value}: {', or '.join(reasons)}" for value, reasons in refused.items()]
    return f"{subject}: " + "; ".join(parts)


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
