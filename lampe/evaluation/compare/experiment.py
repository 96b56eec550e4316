"""What is to be compared, as one file says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, field_serializer, field_validator, model_validator

from lampe import positional
from lampe.config import FrozenModel, PositionalConfig
from lampe.errors import ConfigError, LampeError, closest
from lampe.evaluation.base import Task, TaskConfig, registry
from lampe.evaluation.compare.statistics import RESAMPLES
from lampe.evaluation.compare.suites import tasks_of
from lampe.registry import validate

Length = Annotated[int, Field(ge=1, le=2**24)]
CHECKPOINT_METHOD = "checkpoint"
"""Stands for the method that a checkpoint was made with."""


class ModelEntry(FrozenModel):
    """One checkpoint and how it runs.

    Attributes:
        checkpoint: a folder, or a name on the hub.
        label: how tables call it; None is the last part of `checkpoint`.
        dtype: as for `LLM.load`, like the fields below.
        threads: that a CPU computes with; the last bits of a score depend on it. None is what torch takes.
    """

    checkpoint: str = Field(min_length=1)
    label: str | None = Field(default=None, min_length=1)
    dtype: str = "auto"
    device: str = "auto"
    attention: str | dict[str, Any] = "auto"
    prefill_chunk: int = Field(default=4096, ge=1)
    revision: str | None = None
    threads: int | None = Field(default=None, ge=1)

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.label or Path(self.checkpoint).name


class TaskEntry(FrozenModel):
    """One task and where it is measured.

    Attributes:
        task: the config of a registered task.
        lengths: instead of those of the experiment.
        limit: only the first so many trials of each length, or of the lengths it names; 0 leaves a length out. Raising
            it later adds trials, and those before stay what they are.
    """

    task: SerializeAsAny[TaskConfig]
    lengths: tuple[Length, ...] | None = Field(default=None, min_length=1)
    limit: Annotated[int, Field(ge=1)] | dict[Length, Annotated[int, Field(ge=0)]] | None = None

    @field_validator("task", mode="before")
    @classmethod
    def _registered(cls, value: Any) -> Any:
        return registry.config(value)

    @field_validator("lengths")
    @classmethod
    def _ascending(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if value is None else tuple(sorted(set(value)))

    def create(self) -> Task:
        """The task."""
        return registry.create(self.task)

    def trials(self, length: int) -> float:
        """How many trials of a length are wanted; infinite for all that there are."""
        limit = self.limit.get(length) if isinstance(self.limit, dict) else self.limit
        return float("inf") if limit is None else limit


class Experiment(FrozenModel):
    """Everything that one results folder holds: every model under every method on every task at every length.

    Attributes:
        title: of the report.
        models: checkpoints; a name or folder stands for a whole entry.
        methods: label to positional method: a name, or `kind` and fields; "checkpoint" is what a model was made with.
        tasks: a name, or `kind` and fields of a task, and beside them `lengths` and `limit` (see `TaskEntry`). An entry
            with `suite` instead of `kind` stands for the tasks of that benchmark (`suites.tasks_of`).
        lengths: in tokens.
        fit_length: set every method for each length it is measured at (`PositionalEncoding.for_length`); fields given
            by hand stay.
        baseline: label of the method that the others are compared with; None is the first.
        resamples: of the bootstrap.
    """

    title: str = "Long-context methods compared"
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    methods: dict[str, SerializeAsAny[PositionalConfig] | None] = Field(min_length=1)
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)
    lengths: tuple[Length, ...] = Field(min_length=1)
    fit_length: bool = True
    baseline: str | None = None
    resamples: int = Field(default=RESAMPLES, ge=100)

    @field_validator("models", mode="before")
    @classmethod
    def _named_models(cls, value: Any) -> Any:
        entries = [value] if isinstance(value, (str, Mapping)) else value
        if not isinstance(entries, (list, tuple)):
            return entries
        return [{"checkpoint": entry} if isinstance(entry, str) else entry for entry in entries]

    @field_validator("methods", mode="before")
    @classmethod
    def _registered_methods(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
            value = {name: name for name in value}
        if not isinstance(value, Mapping):
            return value
        return {str(label): _method(str(label), spec) for label, spec in value.items()}

    @field_validator("tasks", mode="before")
    @classmethod
    def _expanded(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        # The first entry that does not do is enough for a sentence.
        return [TaskEntry.model_validate(entry) for item in value for entry in _entries(item)]

    @field_validator("lengths")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        for noun, names in (
            ("model", [model.name for model in self.models]),
            ("task", [entry.create().name for entry in self.tasks]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{noun} {twice!r} comes twice: give one of them a label of its own")
        for entry in self.tasks:
            lengths = self.lengths_of(entry)
            stray = next((n for n in entry.limit if n not in lengths), None) if isinstance(entry.limit, dict) else None
            if stray is not None:
                raise ValueError(
                    f"task {entry.create().name!r}: limit names {stray} tokens, which is none of its lengths: "
                    f"{', '.join(map(str, lengths))}"
                )
        if self.baseline is not None and self.baseline not in self.methods:
            near = closest(self.baseline, self.methods)
            raise ValueError(f"baseline = {self.baseline!r}: no such method{near}; methods: {', '.join(self.methods)}")
        return self

    @field_serializer("methods")
    def _as_set(self, methods: Mapping[str, PositionalConfig | None]) -> dict[str, Any]:
        # Read again, a default that is written out would be one that was set by hand, which `fit_length` leaves alone.
        return {
            label: config and {"kind": config.kind, **config.model_dump(mode="json", exclude_unset=True)}
            for label, config in methods.items()
        }

    @property
    def reference(self) -> str:
        """The label of the method that the others are compared with."""
        return self.baseline or next(iter(self.methods))

    def lengths_of(self, entry: TaskEntry) -> tuple[int, ...]:
        """The lengths that a task's prompts are made for; a limit of 0 leaves one out after that.

        What a task makes for one length may depend on the longest (the places where perplexity's contexts end), so that
        a limit must not change which lengths it is asked for.
        """
        return entry.lengths or self.lengths

    def lengths_measured(self, entry: TaskEntry) -> tuple[int, ...]:
        """Those of them that the task is measured at."""
        return tuple(length for length in self.lengths_of(entry) if entry.trials(length) > 0)


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment from a YAML or JSON file.

    Raises:
        ConfigError: the file cannot be read, or a field, a method or a task in it is not accepted.
    """
    import yaml

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"experiment {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"experiment {path} is no {'JSON' if path.suffix == '.json' else 'YAML'}: {error}") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"experiment {path} holds no fields: {', '.join(Experiment.model_fields)} would be accepted")
    return validate(Experiment, content, f"experiment {path}")


def _method(label: str, spec: Any) -> Any:
    if spec is None or spec == CHECKPOINT_METHOD:
        return None
    if not isinstance(spec, (str, Mapping, PositionalConfig)):
        raise ValueError(f"method {label!r} = {spec!r}: a name, or kind and fields, would be accepted")
    try:
        return positional.registry.config(spec)
    except LampeError as error:
        raise ValueError(f"method {label!r}: {error}") from None


def _entries(item: Any) -> list[Any]:
    """An item of `tasks` as task entries: one, or one for each task of a suite."""
    if isinstance(item, (str, TaskConfig)):
        return [{"task": item}]
    if not isinstance(item, Mapping) or "task" in item:
        return [item]
    fields = dict(item)
    where = {name: fields.pop(name) for name in ("lengths", "limit") if name in fields}
    if "suite" in fields:
        return [{"task": task, **where} for task in tasks_of(fields)]
    return [{"task": fields, **where}]
