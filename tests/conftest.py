"""What all tests share: fresh memory is poisoned, and one core does the arithmetic of small tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from lampe.models.transformer import Transformer
from tests.testing.matrix_report import MatrixReport

settings.register_profile(
    "lampe", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("lampe")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", type=Path, help="write methods x properties and the random plans tried, as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--matrix"):
        config.pluginmanager.register(MatrixReport(config.getoption("--matrix")))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests are spread over the cores; files named one by one are sooner done in one process."""
    return min(os.cpu_count() or 1, 8) if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


ALL_THREADS = max(1, torch.get_num_threads() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> None:
    """Only the slow tests have work for more than one thread; elsewhere threads wait for each other."""
    torch.set_num_threads(ALL_THREADS if request.node.get_closest_marker("slow") else 1)


@pytest.fixture(autouse=True)
def _poisoned_memory() -> Iterator[None]:
    """torch.empty and its kin hand out NaN, so that a value that was never written shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a checkpoint folder; fetched and converted once, by the code of the demo."""
    from examples.demo import model_folder

    return model_folder()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each forward pass took."""
    passes: list[int] = []
    forward = Transformer.forward

    def counting(self, ids, *args, **kwargs):
        passes.append(ids.shape[1])
        return forward(self, ids, *args, **kwargs)

    monkeypatch.setattr(Transformer, "forward", counting)
    return passes
