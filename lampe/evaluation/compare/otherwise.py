"""Refuses scores that were made otherwise than they would be now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lampe.errors import ConfigError
from lampe.evaluation.base import Record


def check_setting(record: Record, now: Mapping[str, Any]) -> None:
    """Refuse a score that was made otherwise than it would be now.

    Args:
        record: the score.
        now: fields of `Setting` as they would be now; a device may leave its index out.

    Raises:
        ConfigError: names each field that differs, with both values.
    """
    then = record.setting.model_dump(mode="json")
    differing = [
        f"the code of method {then['positional']['kind']!r} has changed since"
        if name == "method_code"
        else f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in now
        if not _same(name, then, now)
    ]
    if differing:
        raise _made_otherwise(record, "; ".join(differing))


def check_task_code(record: Record, now: str | None) -> None:
    """Refuse a score of a task whose code has changed since.

    Args:
        record: the score.
        now: `code_digest` of the task as it is.

    Raises:
        ConfigError: names the task.
    """
    # Scores of before it was recorded have none.
    if record.task_code not in (None, now):
        raise _made_otherwise(record, f"the code of task {record.kind!r} has changed since")


def _made_otherwise(record: Record, what: str) -> ConfigError:
    return ConfigError(
        f"the folder holds scores of {record.setting.label} at {record.length} tokens that were made otherwise: "
        f"{what}; name another folder with --out"
    )


def _same(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if name == "method_code":
        return name not in then or bool(then[name] == now[name])
    if name == "device" and ":" not in now[name]:
        return bool(then[name].partition(":")[0] == now[name])
    # An experiment may state threads for a CPU that computes nothing.
    if name == "threads" and not then["device"].startswith("cpu"):
        return True
    return bool(then[name] == now[name])
