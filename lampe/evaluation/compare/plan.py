"""All that an experiment will measure, known and checked before any of it is."""

from __future__ import annotations

import hashlib
import warnings
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from lampe import attention
from lampe.checkpoint import checkpoint_dtype, fingerprint, read_config, resolve
from lampe.config import ModelConfig
from lampe.digest import code_digest
from lampe.errors import ConfigError, PlanError
from lampe.evaluation.base import Record, Sample, Task
from lampe.evaluation.budget import Work
from lampe.evaluation.compare.experiment import Experiment, ModelEntry, TaskEntry
from lampe.evaluation.compare.otherwise import check_setting, check_task_code
from lampe.evaluation.compare.store import make_key
from lampe.evaluation.prompts import PromptTask
from lampe.evaluation.runner import block_work, lampe_version
from lampe.llm import bind
from lampe.positional import PositionalEncoding, PositionPlan
from lampe.tokenizers import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Subject:
    """A checkpoint that is known, but whose weights are not loaded.

    Attributes:
        entry: how the experiment names it.
        folder: where it lies.
        fingerprint: of its weights.
    """

    entry: ModelEntry
    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer = field(repr=False)
    fingerprint: str

    @classmethod
    def find(cls, entry: ModelEntry) -> Subject:
        """Look a checkpoint up.

        Raises:
            LampeError: there is none, or its config or tokenizer does not do.
        """
        folder = resolve(entry.checkpoint, revision=entry.revision)
        return cls(entry, folder, read_config(folder), load_tokenizer(folder), fingerprint(folder))

    def setting(self) -> dict[str, Any]:
        """The fields of `Setting` that need no weights and are the same on every machine."""
        entry = self.entry
        dtype = str(checkpoint_dtype(self.folder)).removeprefix("torch.") if entry.dtype == "auto" else entry.dtype
        known = {
            "fingerprint": self.fingerprint,
            "tokenizer": self.tokenizer.fingerprint,
            "template": self.tokenizer.template_fingerprint,
            "dtype": dtype,
            "attention": attention.create(entry.attention).config.model_dump(mode="json"),
            "prefill_chunk": entry.prefill_chunk,
            "lampe": lampe_version(),
        }
        # What the entry leaves open, the machine decides.
        stated = {} if entry.device == "auto" else {"device": entry.device}
        return known | stated | ({} if entry.threads is None else {"threads": entry.threads})


class Cell(NamedTuple):
    """Where a sample is measured: by which model, under which method, for how many tokens."""

    model: str
    method: str
    length: int


@dataclass(frozen=True)
class Unit:
    """The samples of one task, trial and length, under one method: what runs together.

    Attributes:
        cell: where.
        samples: what; all of them, whether they are done or not.
        keys: of their records.
        works: what each costs when all are measured.
    """

    cell: Cell
    samples: Sequence[Sample]
    keys: Sequence[str]
    works: Sequence[Work]

    def without(self, done: Callable[[str], bool]) -> Unit:
        """What is left of it; what the shared tokens cost then falls on the first sample left."""
        kept = [(sample, key) for sample, key in zip(self.samples, self.keys, strict=True) if not done(key)]
        samples = [sample for sample, _ in kept]
        return replace(self, samples=samples, keys=[key for _, key in kept], works=block_work(samples))


@dataclass
class Plan:
    """An experiment with its models found, its methods set and its prompts made.

    Attributes:
        methods: what every cell runs under.
        units: in the order in which they run: model by model, trial by trial, so that an early end leaves every method
            with the same samples.
    """

    experiment: Experiment
    subjects: dict[str, Subject]
    methods: dict[Cell, PositionalEncoding] = field(repr=False)
    units: list[Unit] = field(repr=False)

    @classmethod
    def make(cls, experiment: Experiment, *, started: Callable[[str], None] | None = None) -> Plan:
        """Check everything and make all prompts.

        Args:
            experiment: what is wanted.
            started: called with the name of each task before its prompts are made.

        Raises:
            LampeError: a model, a method at some length, a task or its data does not do.
        """
        plan = cls(experiment, {}, {}, [])
        for entry in experiment.models:
            subject = plan.subjects[entry.name] = Subject.find(entry)
            plan._set_methods(subject)
        for name, subject in plan.subjects.items():
            blocks = [
                (index, block)
                for index, task in enumerate(experiment.tasks)
                for block in _blocks(
                    experiment, task, subject.tokenizer, f"{name}: " if len(plan.subjects) > 1 else "", started
                )
            ]
            blocks.sort(key=lambda item: (item[1][0].trial, item[1][0].length, item[0]))
            for _, block in blocks:
                plan.units += _units(name, list(experiment.methods), block, subject.tokenizer)
        plan._check_prompts()
        return plan

    @property
    def keys(self) -> list[str]:
        """The keys of all records, in the order of the finished file."""
        return [key for unit in self.units for key in unit.keys]

    @property
    def about(self) -> dict[str, Any]:
        """The experiment with every default of its tasks written out, and the checkpoints that it found.

        Of methods what was set: made again from this, `fit_length` finds the same fields to set.
        """
        return {
            "experiment": self.experiment.model_dump(mode="json"),
            "models": {
                name: {
                    "fingerprint": subject.fingerprint,
                    "tokenizer": subject.tokenizer.fingerprint,
                    "template": subject.tokenizer.template_fingerprint,
                    "window": subject.config.rope.original_window,
                }
                for name, subject in self.subjects.items()
            },
            "scores": sum(len(unit.keys) for unit in self.units),
        }

    def outside(self) -> list[str]:
        """A sentence for each model: which methods leave its trained window, at which lengths."""
        sentences = []
        for name in self.subjects:
            found: dict[str, list[str]] = {}
            for cell, method in self.methods.items():
                if cell.model == name and _leaves_window(method, self.subjects[name].config, cell.length):
                    found.setdefault(cell.method, []).append(f"{cell.length:,}")
            if found:
                methods = "; ".join(f"{label} at {', '.join(lengths)}" for label, lengths in found.items())
                sentences.append(f"Relative positions that {name} was not trained on are used by {methods} tokens.")
        return sentences

    def left(self, done: Callable[[str], bool]) -> list[Unit]:
        """The units of which something is still to be measured."""
        return [rest for unit in self.units if (rest := unit.without(done)).samples]

    def check(self, records: dict[str, Record], where: Path) -> None:
        """Refuse a results file that this experiment would not make.

        Raises:
            ConfigError: names a score that has no place in it, or what it was made with instead.
        """
        samples = {key: sample for unit in self.units for key, sample in zip(unit.keys, unit.samples, strict=True)}
        models = {name: subject.setting() for name, subject in self.subjects.items()}
        settings = {
            cell: {
                "positional": method.described(),
                "method_code": code_digest(type(method)),
                **models[cell.model],
            }
            for cell, method in self.methods.items()
        }
        for key, record in records.items():
            sample = samples.get(key)
            if sample is None or sample.task.config.model_dump(mode="json") != record.task:
                raise ConfigError(
                    f"{where} holds the scores of another experiment: {record.name} of {record.setting.label} at "
                    f"{record.length} tokens, trial {record.trial}, is not part of this one; name another folder with "
                    "--out, or take back what was changed in the experiment"
                )
            check_setting(record, settings[cell_of(record)])
            check_task_code(record, code_digest(type(sample.task)))

    def _set_methods(self, subject: Subject) -> None:
        lengths = sorted({n for entry in self.experiment.tasks for n in self.experiment.lengths_measured(entry)})
        for label, config in self.experiment.methods.items():
            for length in lengths:
                method = bind(config, subject.config)
                if self.experiment.fit_length and config is not None:
                    method = method.for_length(length)
                _check_plan(method, length, f"method {label!r} at {length} tokens")
                self.methods[Cell(subject.entry.name, label, length)] = method

    def _check_prompts(self) -> None:
        """Plan what will be planned: a prompt may have fewer tokens than its length, and its answer may count too.

        Raises:
            ConfigError: a method cannot map a prompt.
        """
        known: set[tuple[Cell, int]] = set()
        for unit in self.units:
            method = self.methods[unit.cell]
            total = method.config.length == "total"
            for sample in unit.samples:
                size = len(sample.ids) + (sample.new_tokens if total else 0)
                if (unit.cell, size) not in known:
                    known.add((unit.cell, size))
                    where = f"task {sample.task.name!r}, trial {sample.trial}, at {size} tokens"
                    _check_plan(method, size, f"method {unit.cell.method!r} on {where}")


def _check_plan(method: PositionalEncoding, length: int, subject: str) -> None:
    """Refuse a length that a method cannot map, in a sentence about `subject`."""
    try:
        _silent_plan(method, length)
    except PlanError as error:
        raise ConfigError(f"{subject}: {error}") from None


def _silent_plan(method: PositionalEncoding, length: int) -> PositionPlan:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method.plan(length)


def _leaves_window(method: PositionalEncoding, config: ModelConfig, length: int) -> bool:
    """Whether a layer uses relative positions that the model was not trained on."""
    plan = _silent_plan(method, length).within(method.config.widest_window(config))
    return plan.largest_position() >= method.position_limit(length)


def cell_of(record: Record) -> Cell:
    """Where a score was measured."""
    return Cell(record.setting.model, record.setting.label, record.length)


def _blocks(
    experiment: Experiment, entry: TaskEntry, tokenizer: Tokenizer, prefix: str, started: Callable[[str], None] | None
) -> Iterator[list[Sample]]:
    """The samples of a task that are wanted, by trial and length."""
    task: Task = entry.create()
    lengths = experiment.lengths_of(entry)
    if started:
        started(f"{prefix}{task.name}")
    last = max(entry.trials(length) for length in lengths)
    for (trial, length), block in groupby(task.samples(tokenizer, lengths), key=lambda item: (item.trial, item.length)):
        if trial >= last:
            return
        if trial < entry.trials(length):
            # Ids in four bytes each: an experiment may hold millions.
            samples = [replace(sample, ids=array("I", sample.ids)) for sample in block]
            for sample in samples:
                sample.check()
            if isinstance(task, PromptTask):
                # A library that scoring needs is missed now, not after the first answer.
                task.score("", samples[0])
            yield samples


def _units(model: str, methods: Sequence[str], block: Sequence[Sample], tokenizer: Tokenizer) -> Iterator[Unit]:
    first = block[0]
    prompts = [hashlib.sha256(tokenizer.decode(sample.ids).encode()).hexdigest() for sample in block]
    works = block_work(block)
    for label in methods:
        keys = [
            make_key(model, label, sample.task.name, sample.length, sample.trial, dict(sample.facts), prompt)
            for sample, prompt in zip(block, prompts, strict=True)
        ]
        twice = next((sample for sample, key in zip(block, keys, strict=True) if keys.count(key) > 1), None)
        if twice is not None:
            raise ConfigError(
                f"task {twice.task.name!r} makes the same sample twice at {twice.length} tokens, trial {twice.trial}: "
                f"{dict(twice.facts)}; its facts must tell samples of one prompt apart"
            )
        yield Unit(Cell(model, label, first.length), block, keys, works)
