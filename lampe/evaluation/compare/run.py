"""Measures what is left of an experiment, and keeps every score as it is made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import torch

from lampe.evaluation.base import Record, Sample
from lampe.evaluation.budget import Budget
from lampe.evaluation.compare.otherwise import check_setting
from lampe.evaluation.compare.plan import Cell, Plan, Subject, Unit, cell_of
from lampe.evaluation.compare.store import Store
from lampe.evaluation.runner import Runner
from lampe.llm import LLM
from lampe.positional import PositionalEncoding, PositionWarning

Started = Callable[[Unit, Sample], None]


class Bench:
    """A loaded model that measures units; every method runs on the same weights.

    A CPU computes with the threads that the experiment asks for, in the whole process, until `close`.

    Args:
        subject: which model.
        methods: of its cells.

    Raises:
        LampeError: it cannot be loaded.
    """

    def __init__(self, subject: Subject, methods: dict[Cell, PositionalEncoding]):
        entry = subject.entry
        self._threads = torch.get_num_threads()
        torch.set_num_threads(entry.threads or self._threads)
        self.subject = subject
        llm = LLM.load(
            subject.folder,
            dtype=entry.dtype,
            device=entry.device,
            attention=entry.attention,
            prefill_chunk=entry.prefill_chunk,
        )
        self._runners = {
            cell: Runner(llm.with_positional(method), cell.method, model=cell.model)
            for cell, method in methods.items()
            if cell.model == entry.name
        }

    def close(self) -> None:
        """Give the threads and the memory of the model back; it measures no more after that."""
        torch.set_num_threads(self._threads)
        self._runners = {}

    def check(self, records: Sequence[Record]) -> None:
        """Refuse to add to scores that were made otherwise than these will be.

        Raises:
            ConfigError: names what differs.
        """
        for record in records:
            if record.setting.model == self.subject.entry.name:
                check_setting(record, self._runners[cell_of(record)].setting.model_dump(mode="json"))

    def measure(self, unit: Unit, *, started: Started | None = None) -> Iterator[Record]:
        """Measure the samples of a unit one after another."""
        runner = self._runners[unit.cell]
        try:
            for sample in unit.samples:
                if started:
                    started(unit, sample)
                with warnings.catch_warnings():
                    # That methods leave the trained window is what a comparison shows.
                    warnings.simplefilter("ignore", PositionWarning)
                    record = runner.run(sample)
                yield record
        finally:
            runner.forget()


def run(
    plan: Plan, store: Store, budget: Budget, *, started: Started | None = None
) -> Iterator[tuple[Unit, str, Record]]:
    """Measure what the store does not hold, model by model, and add each record to it.

    Args:
        plan: of the experiment.
        store: open.
        budget: learns how long things take; a unit that does not fit into it any more ends the run.
        started: called before each measurement.

    Yields:
        The unit, the key and the record of each sample.

    Raises:
        ConfigError: the store holds scores of another experiment, or made otherwise.
    """
    plan.check(store.records, store.path)
    left = plan.left(store.records.__contains__)
    for name, subject in plan.subjects.items():
        units = [unit for unit in left if unit.cell.model == name]
        if not units:
            continue
        with closing(Bench(subject, plan.methods)) as bench:
            bench.check(list(store.records.values()))
            for unit in units:
                if not budget.admits((pace(unit), work) for work in unit.works):
                    return
                records = bench.measure(unit, started=started)
                for record, key, work in zip(records, unit.keys, unit.works, strict=True):
                    store.add(record)
                    budget.observe(pace(unit), work, record.seconds)
                    yield unit, key, record
    store.arrange(plan.keys)


def pace(unit: Unit) -> str:
    """What units go equally fast: those of one model under one method."""
    return f"{unit.cell.model} {unit.cell.method}"
