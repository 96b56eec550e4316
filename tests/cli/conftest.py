"""The command line, and a checkpoint to run it on."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import pytest
from typer.testing import CliRunner, Result

from lampe import llm as facade
from lampe.cli.app import app
from tests.cli.chat_model import Lampe, make_chat_model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random chat model."""
    return make_chat_model(tmp_path_factory.mktemp("model") / "chat-model")


@pytest.fixture(scope="session")
def llm(checkpoint: Path) -> facade.LLM:
    """The same checkpoint through the Python API."""
    return facade.LLM.load(checkpoint, device="cpu")


@pytest.fixture
def lampe(monkeypatch: pytest.MonkeyPatch) -> Lampe:
    """Runs a command line; the result has exit_code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("LAMPE_TRACEBACK", raising=False)

    def run(*arguments: object, text: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some thousand tokens."""
    file = tmp_path_factory.mktemp("text") / "prose.txt"
    file.write_text(topics["strings"], encoding="utf-8")
    return file
