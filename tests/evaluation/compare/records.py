"""Records made by hand, and tasks of a suite to make them of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

from lampe.evaluation.base import Record, Setting, Task, TaskConfig, registry


def record(
    kind: str,
    label: str,
    length: int,
    score: float,
    *,
    trial: int = 0,
    name: str | None = None,
    model: str = "m",
    prompt: str = "p",
    references: tuple[str, ...] = (),
    output: str | None = None,
    setting: dict[str, Any] | None = None,
    seed: int = 0,
    **facts: Any,
) -> Record:
    fields = {
        "label": label,
        "positional": {"kind": "rope"},
        "model": model,
        "dtype": "float32",
        "device": "cpu",
        "attention": {"kind": "auto"},
        "prefill_chunk": 1,
        "lampe": "0",
        "torch": "0",
        **(setting or {}),
    }
    return Record(
        name=name or kind,
        task={"kind": kind, "seed": seed},
        setting=Setting(**fields),
        length=length,
        trial=trial,
        facts=facts,
        tokens=length,
        prompt_sha256=prompt,
        references=references,
        output=output,
        score=score,
    )


class _Ruler(Task):
    suite = "ruler"

    def samples(self, tokenizer, lengths):
        raise NotImplementedError

    def measure(self, runner, sample):
        raise NotImplementedError


class Walk(_Ruler):
    class Config(TaskConfig):
        kind: Literal["walk"] = "walk"


class Swim(_Ruler):
    class Config(TaskConfig):
        kind: Literal["swim"] = "swim"


@contextlib.contextmanager
def suite() -> Iterator[None]:
    """Two tasks of RULER's suite, "walk" and "swim"."""
    with registry.temporarily("walk", Walk), registry.temporarily("swim", Swim):
        yield
