"""What a reader of a report must know: what is missing, mixed, not finite, or rests on little."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from lampe.evaluation.base import Record, Setting
from lampe.evaluation.compare.rows import Row
from lampe.evaluation.compare.statistics import ENOUGH_CONTEXTS

ONE_FOR_A_MODEL = tuple(
    name for name in Setting.model_fields if name not in ("label", "model", "positional", "method_code")
)


class Note(NamedTuple):
    """A sentence, and the task that it is about, or None where it is about all."""

    task: str | None
    text: str


def make_notes(records: Sequence[Record], rows: Sequence[Row], expected: int) -> tuple[Note, ...]:
    """The notes of a report.

    Args:
        rows: of the tasks.
        expected: how many rows there would be if all had been measured.
    """
    return (*_missing(rows, expected), *_mixed(records), *_nonfinite(rows), *_few(rows), *_uneven(rows))


def _missing(rows: Sequence[Row], expected: int) -> Iterator[Note]:
    if len(rows) < expected:
        yield Note(
            None, f"{expected - len(rows):,} of {expected:,} figures are missing: no sample of them was measured."
        )


def _mixed(records: Iterable[Record]) -> Iterator[Note]:
    """Settings that a figure must not mix, or that figures beside each other should share."""
    models: dict[tuple[str, str], set[str]] = {}
    methods: dict[tuple[str, str, int], set[str]] = {}
    tasks: dict[str, set[str]] = {}
    for record in records:
        setting = record.setting
        for name in ONE_FOR_A_MODEL:
            models.setdefault((setting.model, name), set()).add(_text(getattr(setting, name)))
        methods.setdefault((setting.model, setting.label, record.length), set()).add(_text(setting.positional))
        tasks.setdefault(record.name, set()).add(_text(record.task))
    for (model, name), values in models.items():
        if len(values) > 1:
            yield Note(
                None, f"The records of {model} were made with several values of {name}: {', '.join(sorted(values))}."
            )
    for (model, label, length), values in methods.items():
        if len(values) > 1:
            yield Note(None, f"{label} on {model} at {length:,} tokens mixes {len(values)} configs of the method.")
    for name, values in tasks.items():
        if len(values) > 1:
            yield Note(name, f"The records mix {len(values)} configs of this task.")


def _nonfinite(rows: Iterable[Row]) -> Iterator[Note]:
    for row in rows:
        if row.nonfinite:
            yield Note(
                row.task,
                f"{row.method} on {row.model} at {row.length:,} tokens: {row.nonfinite} of {row.samples} scores are no "
                "finite number, so neither is the figure.",
            )


def _few(rows: Sequence[Row]) -> Iterator[Note]:
    for task, found in _by_task(rows).items():
        contexts = sorted({row.contexts for row in found})
        if contexts[0] < ENOUGH_CONTEXTS:
            yield Note(
                task,
                f"Figures rest on {_range(contexts)} contexts: with fewer than {ENOUGH_CONTEXTS} the intervals are too "
                "narrow, and no difference is called one.",
            )


def _uneven(rows: Sequence[Row]) -> Iterator[Note]:
    for task, found in _by_task(rows).items():
        samples: dict[tuple[str, int], set[int]] = {}
        for row in found:
            samples.setdefault((row.model, row.length), set()).add(row.samples)
        lengths = sorted({length for (_, length), counts in samples.items() if len(counts) > 1})
        if lengths:
            where = ", ".join(f"{length:,}" for length in lengths)
            yield Note(
                task,
                f"At {where} tokens the methods rest on different numbers of samples, in brackets; only differences to "
                "the baseline compare the same ones.",
            )


def _by_task(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.task, []).append(row)
    return groups


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
