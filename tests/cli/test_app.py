"""What every command does: help, version, warnings, Ctrl-C, errors that are bugs."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lampe import positional
from lampe.cli import console
from lampe.config import PositionalConfig
from tests.cli.chat_model import Lampe

ROOT = Path(__file__).parents[2]
COMMANDS = ("generate", "chat", "list", "inspect", "convert", "compare", "calibrate", "eval")


def test_version(lampe: Lampe) -> None:
    stated = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert lampe("--version").stdout == f"lampe {stated[1]}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(lampe: Lampe, arguments: list[str]) -> None:
    result = lampe(*arguments)
    assert result.exit_code == 0
    assert re.findall(r"^│ (\w+) +\S", result.stdout, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", [*([name] for name in COMMANDS), ["eval", "perplexity"]])
def test_every_command_explains_itself(lampe: Lampe, command: list[str]) -> None:
    result = lampe(*command, "--help")
    assert result.exit_code == 0
    usage, summary, *_ = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    assert usage.startswith(f"Usage: lampe {' '.join(command)} ")
    assert re.fullmatch(r"[A-Z].+[.,]?", summary)
    described = re.findall(r"^│ +\*? +--[a-z-]+.*? {2,}([^│]+?) *│$", result.stdout, re.MULTILINE)
    assert all(described)


class Interrupted(positional.RoPE):
    class Config(PositionalConfig):
        kind: str = "interrupted"

    def plan(self, length: int, *, sliding_window: int | None = None) -> positional.PositionPlan:
        raise KeyboardInterrupt


class Broken(positional.RoPE):
    class Config(PositionalConfig):
        kind: str = "broken"

    def plan(self, length: int, *, sliding_window: int | None = None) -> positional.PositionPlan:
        raise ValueError("a sentence\n  over two lines" if length < 10 else RuntimeError("a bug"))


def test_ctrl_c_is_130_and_silent(lampe: Lampe) -> None:
    with positional.registry.temporarily("interrupted", Interrupted):
        result = lampe("inspect", "interrupted", "-n", 5)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "")


def test_a_sentence_stands_on_one_line(lampe: Lampe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with positional.registry.temporarily("broken", Broken):
        result = lampe("inspect", "broken", "-n", 5)
    assert (result.exit_code, result.stderr) == (2, "error: a sentence over two lines\n")


def test_the_traceback_is_there_for_who_asks(lampe: Lampe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMPE_TRACEBACK", "1")
    with positional.registry.temporarily("broken", Broken), pytest.raises(ValueError, match="a sentence"):
        lampe("inspect", "broken", "-n", 5)


def test_warnings_are_single_lines_and_the_filter_is_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    with console.dim_warnings():
        warnings.warn("over\n two [bold]lines[/bold]", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: over two [bold]lines[/bold]\n"
    assert warnings.showwarning is before


def test_markup_in_a_message_is_text(lampe: Lampe) -> None:
    assert lampe("generate", "[bold]x[/bold]", "hi").stderr == (
        "error: '[bold]x[/bold]' is no folder here, nor a name on the hub such as 'org/name'\n"
    )


def test_heavy_optional_libraries_wait_until_they_are_needed() -> None:
    """`lampe list` needs neither transformers nor matplotlib nor gguf."""
    code = (
        "import sys; from lampe.cli.app import app\n"
        "print([name for name in ('transformers', 'matplotlib', 'gguf', 'huggingface_hub') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120)
    assert process.stdout.decode().strip() == "[]"
