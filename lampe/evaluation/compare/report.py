"""Records of an experiment put together: figures with intervals, differences to a baseline, means of suites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from lampe.errors import ConfigError, closest
from lampe.evaluation.base import Record, Task, registry
from lampe.evaluation.compare.notes import Note, make_notes
from lampe.evaluation.compare.rows import EffectiveLength, Place, Row, Verdict
from lampe.evaluation.compare.statistics import RESAMPLES, Estimate, Scores, difference, effective_length, estimate

EFFECTIVE = {"ruler": 0.856}
"""Suites with an effective length, and the mean above which a length counts: Llama-2-7B-Chat's at 4K (RULER)."""


@dataclass(frozen=True)
class Report:
    """What a comparison found.

    Attributes:
        title: of its pages.
        about: shown as it is, e.g. versions and the experiment's own file.
        models: in the order shown, like tasks, suites and labels.
        tasks: their names.
        suites: or parts of them (`Task.averaged_in`), as tables call them, where more than one task of them is there,
            and the names of those tasks.
        labels: the methods.
        lengths: of each task and suite, in tokens, ascending.
        baseline: label of the method that the others are compared with.
        windows: the trained window of each model that states one, in tokens.
        rows: of the tasks.
        suite_rows: of the suites.
        effective: lengths, for suites that define one.
        notes: what a reader must know: what is missing, mixed, not finite, or rests on little.
        records: all of them.
        resamples: of the bootstrap.
    """

    title: str
    about: Mapping[str, Any]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    suites: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    lengths: Mapping[str, tuple[int, ...]]
    baseline: str | None
    windows: Mapping[str, int]
    rows: tuple[Row, ...]
    suite_rows: tuple[Row, ...]
    effective: tuple[EffectiveLength, ...]
    notes: tuple[Note, ...]
    records: tuple[Record, ...] = field(repr=False)
    resamples: int = RESAMPLES

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        *,
        baseline: str | None = None,
        models: Sequence[str] = (),
        tasks: Sequence[Task] = (),
        labels: Sequence[str] = (),
        lengths: Sequence[int] | Mapping[str, Sequence[int]] = (),
        window: int | Mapping[str, int] | None = None,
        title: str = "Long-context methods compared",
        about: Mapping[str, Any] | None = None,
        remarks: Sequence[str] = (),
        resamples: int = RESAMPLES,
    ) -> Report:
        """Put records together.

        Args:
            baseline: label of the method that the others are compared with; None compares none.
            models: shown first and in this order; those of the records follow, as for tasks and labels.
            tasks: of the experiment. A suite has a mean only where all its tasks of the experiment have a figure.
            labels: of the methods.
            lengths: in tokens, of all tasks or by task name; those of the records are added.
            window: the trained window in tokens, of all models or by model.
            remarks: sentences to stand before the notes.
            resamples: of the bootstrap.

        Raises:
            ConfigError: the baseline is none of the methods; a sample is there twice, or a name stands for two tasks.
        """
        records = tuple(records)
        kinds = _kinds(records, tasks)
        models = tuple(dict.fromkeys([*models, *(record.setting.model for record in records)]))
        labels = tuple(dict.fromkeys([*labels, *(record.setting.label for record in records)]))
        if baseline is not None and baseline not in labels:
            near = closest(baseline, labels)
            raise ConfigError(f"baseline = {baseline!r}: no such method{near}; methods: {', '.join(labels) or 'none'}")
        scores = _scores(records)
        columns: dict[str, tuple[int, ...]] = {}
        for name in kinds:
            wanted = lengths.get(name, ()) if isinstance(lengths, Mapping) else lengths
            columns[name] = tuple(sorted({*wanted, *(place.length for place in scores if place.task == name)}))
        suites = _suites(kinds, records, tasks)
        for suite, names in suites.items():
            columns[suite] = tuple(sorted({length for name in names for length in columns[name]}))

        def places(names: Iterable[str]) -> list[Place]:
            return [Place(*key) for name in names for key in product(models, [name], labels, columns[name])]

        def rows(members: Mapping[str, Sequence[str]]) -> tuple[Row, ...]:
            made = (_row(place, kinds, members[place.task], scores, baseline, resamples) for place in places(members))
            return tuple(row for row in made if row)

        task_rows, suite_rows = rows({name: (name,) for name in kinds}), rows(suites)
        return cls(
            title=title,
            about=about or {},
            models=models,
            tasks=tuple(kinds),
            suites=suites,
            labels=labels,
            lengths=columns,
            baseline=baseline,
            windows=window
            if isinstance(window, Mapping)
            else {model: window for model in models if window is not None},
            rows=task_rows,
            suite_rows=suite_rows,
            effective=tuple(_effective(suite_rows, kinds, suites)),
            notes=(*(Note(None, text) for text in remarks), *make_notes(records, task_rows, len(places(kinds)))),
            records=records,
            resamples=resamples,
        )

    def row(self, model: str, task: str, method: str, length: int) -> Row | None:
        """The row of a task or suite, or None where that was not reached."""
        return self._by_place.get(Place(model, task, method, length))

    @cached_property
    def _by_place(self) -> dict[Place, Row]:
        rows = (*self.rows, *self.suite_rows)
        return {Place(row.model, row.task, row.method, row.length): row for row in rows}


def _kinds(records: Iterable[Record], tasks: Iterable[Task]) -> dict[str, str]:
    """The registered name of each task, by the name that tables call it."""
    kinds = {task.name: str(task.config.kind) for task in tasks}
    for record in records:
        if kinds.setdefault(record.name, record.kind) != record.kind:
            raise ConfigError(
                f"results: {record.name!r} is a task of kind {kinds[record.name]!r} and one of kind {record.kind!r}; "
                "one kind for each name would be accepted"
            )
    return kinds


def _scores(records: Iterable[Record]) -> dict[Place, Scores]:
    groups: dict[Place, list[Record]] = {}
    for record in records:
        place = Place(record.setting.model, record.name, record.setting.label, record.length)
        groups.setdefault(place, []).append(record)
    return {place: Scores.of(group) for place, group in groups.items()}


def _suites(kinds: Mapping[str, str], records: Iterable[Record], tasks: Iterable[Task]) -> dict[str, tuple[str, ...]]:
    """Suites as tables call them, and their tasks. The mean of one task would only repeat it."""
    configs = {record.name: record.task for record in records}
    configs |= {task.name: task.config.model_dump(mode="json") for task in tasks}
    members: dict[str, list[str]] = {}
    for name in kinds:
        if suite := registry.get(kinds[name]).averaged_in(configs[name]):
            members.setdefault(suite, []).append(name)
    return {f"{suite}, mean of {len(names)} tasks": tuple(names) for suite, names in members.items() if len(names) > 1}


def _row(
    place: Place,
    kinds: Mapping[str, str],
    names: Sequence[str],
    scores: Mapping[Place, Scores],
    baseline: str | None,
    resamples: int,
) -> Row | None:
    def pick(method: str) -> list[Scores]:
        return [found for name in names if (found := scores.get(place._replace(task=name, method=method)))]

    own = pick(place.method)
    if len(own) < len(names):
        return None
    kind = kinds[names[0]]
    task = registry.get(kind)
    figure = estimate(own, resamples=resamples)
    row = Row(
        **place._asdict(),
        kind=kind,
        tasks=len(names),
        figure=figure.figure,
        low=figure.low,
        high=figure.high,
        samples=figure.samples,
        contexts=figure.contexts,
        nonfinite=sum(group.nonfinite for group in own),
        unit=task.unit,
    )
    others = pick(baseline) if baseline is not None and place.method != baseline else []
    if len(others) < len(names) or (apart := difference(own, others, resamples=resamples)) is None:
        return row
    return row.model_copy(
        update={
            "difference": apart.figure,
            "diff_low": apart.low,
            "diff_high": apart.high,
            "pairs": apart.samples,
            "pair_contexts": apart.contexts,
            "verdict": _verdict(apart, task.higher_is_better),
        }
    )


def _verdict(apart: Estimate, higher_is_better: bool) -> Verdict | None:
    if not apart.excludes_zero:
        return None
    return "better" if (apart.figure > 0) == higher_is_better else "worse"


def _effective(
    rows: Sequence[Row], kinds: Mapping[str, str], suites: Mapping[str, Sequence[str]]
) -> Iterator[EffectiveLength]:
    means: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        means.setdefault((row.model, row.task, row.method), {})[row.length] = row.figure
    for (model, suite, method), found in means.items():
        names = suites[suite]
        threshold = EFFECTIVE.get(str(registry.get(kinds[names[0]]).suite).lower())
        if threshold is not None:
            length = effective_length(found, threshold)
            yield EffectiveLength(
                model=model, suite=suite, method=method, length=length, threshold=threshold, tasks=len(names)
            )
