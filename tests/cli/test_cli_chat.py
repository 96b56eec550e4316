"""`lampe chat` over a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lampe.cli import chat
from lampe.llm import LLM
from tests.cli.chat_model import Lampe

FIRST, SECOND = "Name three strings.", "And a fourth?"


def conversation(llm: LLM, *questions: str, system: str | None = None) -> list[str]:
    """The answers that the API gives, turn by turn."""
    messages = [] if system is None else [{"role": "system", "content": system}]
    answers = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        answers.append(llm.chat(messages, max_new_tokens=10))
        messages.append({"role": "assistant", "content": answers[-1]})
    return answers


def printed(answers: list[str]) -> str:
    return "".join(answer.removesuffix("\n") + "\n" for answer in answers)


def test_every_turn_sees_those_before(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    result = lampe("chat", checkpoint, "-n", 10, text=f"{FIRST}\n\n  {SECOND}  \n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == printed(conversation(llm, FIRST, SECOND))
    assert conversation(llm, FIRST, SECOND)[1] != conversation(llm, SECOND)[0]


def test_the_system_message_stays_after_a_reset(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    result = lampe("chat", checkpoint, "-n", 10, "--system", "Be brief.", text=f"{FIRST}\n/reset\n{SECOND}\n")
    expected = [*conversation(llm, FIRST, system="Be brief."), *conversation(llm, SECOND, system="Be brief.")]
    assert result.stdout == printed(expected)
    assert result.stderr == "(a new conversation)\n"
    assert conversation(llm, SECOND, system="Be brief.") != conversation(llm, SECOND)


def test_exit_ends_it_before_the_input_does(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    result = lampe("chat", checkpoint, "-n", 10, text=f"{FIRST}\n/exit\n{SECOND}\n")
    assert (result.exit_code, result.stdout) == (0, printed(conversation(llm, FIRST)))


def test_a_terminal_gets_a_prompt_until_ctrl_d(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    lines = iter([" one ", "two"])

    def read(prompt: str) -> str:
        assert prompt == "> "
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(chat.sys, "stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    monkeypatch.setattr("builtins.input", read)
    assert list(chat._lines()) == ["one", "two"]
    assert capsys.readouterr().err == "/reset forgets the conversation, /exit or Ctrl-D leaves\n"


@pytest.mark.slow
def test_a_process_in_a_pipe(checkpoint: Path, llm: LLM) -> None:
    """The whole way: a process of its own, bytes in, bytes out, nothing on stderr."""
    process = subprocess.run(
        [sys.executable, "-m", "lampe", "chat", str(checkpoint), "-n", "10", "--device", "cpu"],
        input=f"{FIRST}\n{SECOND}".encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "utf-8"},
        timeout=120,
    )
    assert (process.returncode, process.stderr.decode()) == (0, "")
    assert process.stdout.decode().replace("\r\n", "\n") == printed(conversation(llm, FIRST, SECOND))
