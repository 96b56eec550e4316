"""An experiment on the tiny model that takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lampe.evaluation.compare import Experiment
from lampe.llm import LLM
from tests.evaluation.tiny import checkpoint


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model."""
    folder = tmp_path_factory.mktemp("compared") / "tiny"
    folder.mkdir()
    checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def llm(model: Path) -> LLM:
    """The tiny model, loaded."""
    return LLM.load(model)


@pytest.fixture
def fields(model: Path, text: str) -> dict[str, Any]:
    """The fields of an experiment, as a file holds them."""
    return fields_of(model, text)


def fields_of(model: Path, text: str) -> dict[str, Any]:
    return {
        "models": [{"checkpoint": str(model), "dtype": "float32"}],
        "methods": {"RoPE": "rope", "YaRN": "yarn", "LaMPE": {"kind": "lampe", "head": 16, "tail": 8, "span": 64}},
        "tasks": [
            {"kind": "perplexity", "text": text, "tokens": 20, "places": 2},
            {"kind": "passkey", "text": text, "places": 2, "keys": 2, "depths": [0.2, 0.6], "max_new_tokens": 6},
        ],
        "lengths": [200, 320],
    }


@pytest.fixture
def experiment(fields: dict[str, Any]) -> Experiment:
    """That experiment: 3 methods x (2 + 8) samples x 2 lengths."""
    return Experiment.model_validate(fields)
