"""What is handed out to workers, with workers that are none: Ray itself is run by the tests of the command line."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lampe.errors import ConfigError, MissingExtraError
from lampe.evaluation import Budget
from lampe.evaluation.compare import Experiment, Plan, Store, cluster
from lampe.evaluation.compare.run import Bench
from tests.evaluation.compare.conftest import fields_of


class DiedError(Exception):
    """As Ray's ActorDiedError: no ValueError, and many lines."""


class TaskError(Exception):
    """As Ray's RayTaskError."""

    def __init__(self, cause: Exception):
        super().__init__(f"ray::Worker.check()\n  File x, line 1\n{cause}")
        self.cause = cause


class FakeRay:
    """Ray in this process: a call is run when its result is got, and the first one is done first."""

    exceptions = SimpleNamespace(RayActorError=DiedError, RayTaskError=TaskError)

    def __init__(self) -> None:
        self.handed_out: list[Any] = []

    def cluster_resources(self) -> dict[str, float]:
        return {}

    def remote(self, cls: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *args: Actor(self, cls, args)))

    def wait(self, calls: list[Any]) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Any) -> Any:
        return [self.get(one) for one in call] if isinstance(call, list) else call()

    def kill(self, actor: Any) -> None:
        pass


class Actor:
    """A worker whose constructor runs with its first call, as far as errors go."""

    def __init__(self, ray: FakeRay, cls: type, args: tuple[Any, ...]):
        self._ray, self._cls, self._args, self._worker = ray, cls, args, None

    def __getattr__(self, name: str) -> Any:
        def remote(*args: Any) -> Any:
            if name == "measure":
                self._ray.handed_out.append(args[0])
            return lambda *_: self._call(name, args)

        return SimpleNamespace(remote=remote)

    def _call(self, name: str, args: tuple[Any, ...]) -> Any:
        try:
            self._worker = self._worker or self._cls(*self._args)
        except Exception as error:
            raise DiedError(f"The actor died:\n  File x, line 1\ntorch.OutOfMemoryError: {error}\n") from error
        try:
            return getattr(self._worker, name)(*args)
        except Exception as error:
            raise TaskError(error) from error


class Limit(Budget):
    """Admits what has so many tokens at most."""

    def __init__(self, tokens: int):
        super().__init__(None, 0.001)
        self.tokens = tokens
        self.asked: list[int] = []

    def admits(self, items: Any) -> bool:
        self.asked.append(sum(work.tokens for _, work in items))
        return self.asked[-1] <= self.tokens


@pytest.fixture
def ray(monkeypatch) -> FakeRay:
    fake = FakeRay()

    @contextmanager
    def here(address: str | None) -> Any:
        yield fake

    monkeypatch.setattr(cluster, "_ray", here)
    return fake


@pytest.fixture
def plan(model: Path, text: str) -> Plan:
    """Two models, each with units of 200, 320 and 200 tokens."""
    fields = fields_of(model, text)
    fields["models"] = [{**fields["models"][0], "label": name} for name in ("one", "two")]
    fields["methods"] = ["rope"]
    fields["tasks"] = [{"kind": "perplexity", "text": text, "tokens": 20, "places": 2, "limit": {200: 2, 320: 1}}]
    return Plan.make(Experiment.model_validate(fields))


def lengths(units: list[Any]) -> list[int]:
    return [unit.cell.length for unit in units]


def test_all_units_of_all_models_are_measured(plan: Plan, ray: FakeRay, tmp_path: Path):
    with Store(tmp_path / "ray") as store:
        made = list(cluster.run_on_ray(plan, store, Budget(None, 0.001), workers=2))
        assert [key for _, key, _ in made] == list(store.records)
        assert set(store.records) == set(plan.keys)
    assert lengths(ray.handed_out) == [200, 320, 200] * 2


def test_the_first_unit_that_does_not_fit_ends_the_run(plan: Plan, ray: FakeRay, tmp_path: Path):
    with Store(tmp_path / "ray") as store:
        list(cluster.run_on_ray(plan, store, Limit(300), workers=1))
    # The later units of 200 tokens would fit, of this model and of the next.
    assert [(unit.cell.model, unit.cell.length) for unit in ray.handed_out] == [("one", 200)]


def test_units_in_flight_count(plan: Plan, ray: FakeRay, tmp_path: Path):
    budget = Limit(10**6)
    with Store(tmp_path / "ray") as store:
        list(cluster.run_on_ray(plan, store, budget, workers=1))
    # Two units are handed out ahead, and the third while the second is under way.
    assert budget.asked == [200, 200 + 320, 320 + 200] * 2


def test_units_of_other_workers_do_not_count(plan: Plan, ray: FakeRay, tmp_path: Path):
    budget = Limit(10**6)
    with Store(tmp_path / "ray") as store:
        list(cluster.run_on_ray(plan, store, budget, workers=2))
    assert budget.asked == [200, 320, 200 + 200] * 2


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (ConfigError("no such folder here"), "no such folder here"),
        (MissingExtraError("hub", "hub", "x"), "x needs hub: pip install 'lampe[hub]'"),
        (RuntimeError("CUDA out of memory"), "--ray: a worker of model 'one' cannot run: CUDA out of memory"),
    ],
)
def test_a_worker_that_cannot_start_is_one_sentence(
    plan: Plan, ray: FakeRay, tmp_path: Path, monkeypatch, raised: Exception, sentence: str
):
    def refuse(*_: Any) -> None:
        raise raised

    monkeypatch.setattr(Bench, "__init__", refuse)
    with Store(tmp_path / "ray") as store, pytest.raises(ConfigError) as error:
        list(cluster.run_on_ray(plan, store, Budget(None, 0.001), workers=2))
    assert str(error.value) == sentence


def test_what_a_worker_refuses_is_its_own_sentence(plan: Plan, ray: FakeRay, tmp_path: Path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise ConfigError("made otherwise")

    monkeypatch.setattr(Bench, "check", refuse)
    with Store(tmp_path / "ray") as store, pytest.raises(ConfigError, match=r"^made otherwise$"):
        list(cluster.run_on_ray(plan, store, Budget(None, 0.001)))
