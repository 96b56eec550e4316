"""An experiment on several processes or machines, through Ray (extra `ray`)."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lampe.errors import ConfigError, LampeError, MissingExtraError
from lampe.evaluation.base import Record
from lampe.evaluation.budget import Budget
from lampe.evaluation.compare.experiment import ModelEntry
from lampe.evaluation.compare.plan import Cell, Plan, Subject, Unit
from lampe.evaluation.compare.run import Bench, Started, pace
from lampe.evaluation.compare.store import Store
from lampe.positional import PositionalEncoding

AHEAD = 2
"""Units that wait at each worker, so that none is idle while the driver writes."""

RAISED = re.compile(r"^[\w.]+(Error|Exception): ")
"""How the last line of a traceback begins."""


class Worker:
    """One replica of a model, in a process of its own.

    Args:
        entry: which model; the worker looks it up where it runs.
        methods: of its cells.
    """

    def __init__(self, entry: ModelEntry, methods: dict[Cell, PositionalEncoding]):
        self._bench, self._refused = None, ""
        try:
            self._bench = Bench(Subject.find(entry), methods)
        except LampeError as error:
            # Raised here it would end the actor, and Ray would print a traceback and try again.
            self._refused = str(error)

    @property
    def bench(self) -> Bench:
        """The loaded model.

        Raises:
            ConfigError: it cannot be loaded where this worker runs.
        """
        if self._bench is None:
            raise ConfigError(self._refused)
        return self._bench

    def check(self, records: Sequence[Record]) -> None:
        """See `Bench.check`."""
        self.bench.check(records)

    def measure(self, unit: Unit) -> list[Record]:
        """The records of a unit."""
        return list(self.bench.measure(unit))


def run_on_ray(
    plan: Plan,
    store: Store,
    budget: Budget,
    *,
    address: str | None = None,
    workers: int | None = None,
    started: Started | None = None,
) -> Iterator[tuple[Unit, str, Record]]:
    """As `run`, with one Ray actor a model replica and one Ray task a unit.

    A worker that dies is started again and its unit measured again, which is Ray's business. This process alone writes
    to the store. Records come in any order; the finished file has that of `run`.

    Args:
        plan: of the experiment.
        store: open.
        budget: as in `run`; its guesses are of one worker.
        address: of a running cluster, whose machines find the checkpoints and texts under the same paths; None starts
            Ray on this machine.
        workers: replicas; None is one for each GPU of the cluster, and one without any. On a CPU each computes with
            as many threads as this process would, or those that the experiment says: let it say cores / workers.
        started: called when a unit is handed to a worker, with its first sample.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: the store holds scores of another experiment, or made otherwise; there is no cluster, or a worker
            cannot run.
    """
    plan.check(store.records, store.path)
    left = plan.left(store.records.__contains__)
    with _ray(address) as ray:
        for name, subject in plan.subjects.items():
            units = [unit for unit in left if unit.cell.model == name]
            if not units:
                continue
            gpus = int(ray.cluster_resources().get("GPU", 0))
            replicas = min(workers or gpus or 1, len(units))
            options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": -1}
            if gpus:
                options["num_gpus"] = min(1.0, gpus / replicas)
            # Ray gives an actor one thread; the last bits of a score are those of as many as without Ray.
            entry = subject.entry.model_copy(update={"threads": subject.entry.threads or torch.get_num_threads()})
            methods = {cell: method for cell, method in plan.methods.items() if cell.model == name}
            actors = [ray.remote(Worker).options(**options).remote(entry, methods) for _ in range(replicas)]
            _get(ray, actors[0].check.remote(list(store.records.values())), name)
            over = yield from _measure(ray, actors, units, store, budget, started)
            for actor in actors:
                ray.kill(actor)
            if over:
                break
    if not plan.left(store.records.__contains__):
        store.arrange(plan.keys)


def _measure(
    ray: Any, actors: Sequence[Any], units: Sequence[Unit], store: Store, budget: Budget, started: Started | None
) -> Generator[tuple[Unit, str, Record], None, bool]:
    """Hand units out as workers get free, and store what they bring; whether the budget refused one."""
    waiting = list(reversed(units))
    running: dict[Any, tuple[Unit, Any]] = {}
    over = False

    def hand_out(actor: Any) -> None:
        nonlocal over
        if over or not waiting:
            return
        # The worker comes to it after what it has.
        queue = [*(unit for unit, owner in running.values() if owner is actor), waiting[-1]]
        over = not budget.admits((pace(unit), work) for unit in queue for work in unit.works)
        if not over:
            unit = waiting.pop()
            running[actor.measure.remote(unit)] = (unit, actor)
            if started:
                started(unit, unit.samples[0])

    for _ in range(AHEAD):
        for actor in actors:
            hand_out(actor)
    while running:
        (done, *_), _ = ray.wait(list(running))
        unit, actor = running.pop(done)
        hand_out(actor)
        for record, key, work in zip(_get(ray, done, unit.cell.model), unit.keys, unit.works, strict=True):
            store.add(record)
            budget.observe(pace(unit), work, record.seconds)
            yield unit, key, record
    return over


def _get(ray: Any, call: Any, model: str) -> Any:
    """What a worker returns; what it refuses is one sentence, as without Ray."""
    try:
        return ray.get(call)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LampeError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError as error:
        # What ended it comes as the text of a traceback.
        reason = RAISED.sub("", str(error).strip().splitlines()[-1], count=1)
        raise ConfigError(f"--ray: a worker of model {model!r} cannot run: {reason}") from None


@contextmanager
def _ray(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster or started here, and shut down afterwards."""
    # Ray reports its use to its makers unless told not to, and warns of what it will do with GPUs another day.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray", "--ray") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # Ray would otherwise join a cluster that RAY_ADDRESS or an earlier `ray start` names.
        options |= {"address": "local", "include_dashboard": False}
    else:
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--ray {address or 'local'}: no cluster there: {' '.join(str(error).split())}") from None
    try:
        yield ray
    finally:
        ray.shutdown()
