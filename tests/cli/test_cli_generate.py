"""`lampe generate`, held against the Python API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lampe.cli import answering
from lampe.llm import LLM
from lampe.session import Session
from tests.cli.chat_model import Lampe

PROMPT = "The string is a sequence of characters"


def test_the_text_is_that_of_the_api(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    result = lampe("generate", checkpoint, PROMPT, "-n", 24)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == llm.generate(PROMPT, max_new_tokens=24).removesuffix("\n") + "\n"


OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["--temperature", "0.8", "--seed", "3"], {"temperature": 0.8, "seed": 3}),
    (["--temperature", "0.8", "--seed", "3", "--top-k", "5"], {"temperature": 0.8, "seed": 3, "top_k": 5}),
    (["--temperature", "0.9", "--seed", "3", "--top-p", "0.4"], {"temperature": 0.9, "seed": 3, "top_p": 0.4}),
    (["--temperature", "0.9", "--seed", "3", "--min-p", "0.3"], {"temperature": 0.9, "seed": 3, "min_p": 0.3}),
    (["--repetition-penalty", "1.7"], {"repetition_penalty": 1.7}),
]


@pytest.mark.parametrize(("arguments", "sampling"), OPTIONS)
def test_sampling_options(
    lampe: Lampe, checkpoint: Path, llm: LLM, arguments: list[str], sampling: dict[str, Any]
) -> None:
    result = lampe("generate", checkpoint, PROMPT, "-n", 16, "--json", *arguments)
    document = json.loads(result.stdout)
    ids = llm.tokenizer.encode(PROMPT)
    assert document["ids"] == llm.generate(ids, max_new_tokens=16, **sampling)
    assert document["ids"] != llm.generate(ids, max_new_tokens=16)
    assert document["text"] == llm.generate(PROMPT, max_new_tokens=16, **sampling)
    assert document["prompt_tokens"] == len(ids)
    assert document["sampling"].items() >= sampling.items()


def test_stop_strings_are_repeatable(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    whole = llm.generate(PROMPT, max_new_tokens=24)
    stops = whole[6:8], whole[3:5]
    result = lampe("generate", checkpoint, PROMPT, "-n", 24, "--json", "--stop", stops[0], "--stop", stops[1])
    expected = whole[: min(whole.index(stop) for stop in stops)]
    assert json.loads(result.stdout)["text"] == expected
    assert len(expected) < len(whole)


LAMPE = {"kind": "lampe", "head": 4, "tail": 2, "span": 9}
FORMS = [
    ["--positional", "lampe", "--set", "head=4", "--set", "tail=2", "--set", "span=9"],
    ["-p", "lampe:head=4:tail=2:span=9"],
    ["-p", json.dumps(LAMPE)],
]


@pytest.mark.parametrize("form", FORMS)
def test_the_method_in_all_its_forms(lampe: Lampe, checkpoint: Path, llm: LLM, form: list[str]) -> None:
    document = json.loads(lampe("generate", checkpoint, PROMPT, "-n", 16, "--json", *form).stdout)
    assert document["positional"].items() >= LAMPE.items()
    assert document["text"] == llm.with_positional(LAMPE).generate(PROMPT, max_new_tokens=16)
    assert document["text"] != llm.generate(PROMPT, max_new_tokens=16)


def test_a_method_from_a_file(lampe: Lampe, checkpoint: Path, llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "method.json"
    file.write_text(json.dumps(LAMPE))
    document = json.loads(lampe("generate", checkpoint, PROMPT, "-n", 16, "--json", "-p", file).stdout)
    assert document["text"] == llm.with_positional(LAMPE).generate(PROMPT, max_new_tokens=16)


def test_a_method_set_for_a_length(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    """The model's window is 128 tokens."""
    arguments = ("generate", checkpoint, PROMPT, "-n", 16, "--json", "-p", "pi", "--for-length", 512)
    document = json.loads(lampe(*arguments).stdout)
    assert document["positional"]["factor"] == 4
    assert document["text"] == llm.with_positional({"kind": "pi", "factor": 4}).generate(PROMPT, max_new_tokens=16)
    stated = json.loads(lampe(*arguments, "--set", "factor=2").stdout)
    assert stated["positional"]["factor"] == 2


def test_the_prompt_from_a_pipe_and_from_a_file(lampe: Lampe, checkpoint: Path, llm: LLM, tmp_path: Path) -> None:
    text = "line one\n\nline two"
    file = tmp_path / "prompt.txt"
    file.write_text(f"{text}\n", encoding="utf-8")
    expected = llm.generate(text, max_new_tokens=8)
    piped = lampe("generate", checkpoint, "-", "-n", 8, "--json", text=f"{text}\n")
    read = lampe("generate", checkpoint, "--prompt-file", file, "-n", 8, "--json")
    assert json.loads(piped.stdout)["text"] == json.loads(read.stdout)["text"] == expected


def test_chat_goes_through_the_template(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    result = lampe("generate", checkpoint, PROMPT, "--chat", "-n", 12, "--json")
    document = json.loads(result.stdout)
    assert document["text"] == llm.chat([{"role": "user", "content": PROMPT}], max_new_tokens=12)
    opened = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    assert document["prompt_tokens"] == len(llm.tokenizer.encode(opened, parse_special=True))


def test_variables_reach_the_chat_template(lampe: Lampe, checkpoint: Path, llm: LLM, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "thinking")
    (tmp_path / "thinking" / "chat_template.jinja").write_text(
        "{{ messages[-1].content }}{% if enable_thinking is false %} At once:{% endif %}"
    )
    tokens = {}
    for stated in ([], ["--variable", "enable_thinking=false"]):
        result = lampe("generate", tmp_path / "thinking", PROMPT, "--chat", "-n", 4, "--json", *stated)
        document = json.loads(result.stdout)
        tokens[bool(stated)] = document["prompt_tokens"]
        said = {"enable_thinking": False} if stated else None
        model = LLM.load(tmp_path / "thinking", device="cpu")
        messages = [{"role": "user", "content": PROMPT}]
        assert document["text"] == model.chat(messages, max_new_tokens=4, variables=said)
    assert tokens[True] == tokens[False] + len(llm.tokenizer.encode(" At once:", add_special=False))
    refused = lampe("generate", checkpoint, PROMPT, "--variable", "x=1")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "error: --variable x=1 needs --chat: it is read by the chat template\n",
    )


@pytest.mark.parametrize("command", [["generate", "PLACE", PROMPT, "--chat"], ["chat", "PLACE"]])
def test_variables_are_checked_before_a_checkpoint_is_loaded(lampe: Lampe, tmp_path: Path, command: list[str]) -> None:
    command = [str(tmp_path / "nowhere") if part == "PLACE" else part for part in command]
    for stated, said in (
        (
            "messages=[]",
            "error: variable 'messages' is not one of the template's own, such as enable_thinking or tools\n",
        ),
        ("thinking", "error: setting 'thinking': expected field=value, such as head=512\n"),
    ):
        result = lampe(*command, "--variable", stated, text="")
        assert (result.exit_code, result.stderr) == (2, said)


def test_what_the_terminal_cannot_write_is_replaced(checkpoint: Path, llm: LLM) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "lampe", "generate", str(checkpoint), PROMPT, "-n", "12", "--device", "cpu"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "ascii"},
        timeout=120,
    )
    expected = llm.generate(PROMPT, max_new_tokens=12)
    assert not expected.isascii()
    assert (process.returncode, process.stderr) == (0, b"")
    assert process.stdout.decode().rstrip("\n") == expected.encode("ascii", "replace").decode().rstrip("\n")


def test_dtype_and_attention_reach_the_model(lampe: Lampe, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Session] = []
    original = answering._pieces
    monkeypatch.setattr(
        answering, "_pieces", lambda session, *rest: (seen.append(session), original(session, *rest))[1]
    )
    arguments = ["--dtype", "bfloat16", "--attention", "dense", "--device", "cpu"]
    assert lampe("generate", checkpoint, PROMPT, "-n", 2, *arguments).exit_code == 0
    weight = seen[0].engine.model.model.embed_tokens.weight
    assert (str(weight.dtype), str(weight.device)) == ("torch.bfloat16", "cpu")
    assert seen[0].engine.backend.config.kind == "dense"


def test_text_is_written_as_it_is_made(checkpoint: Path, llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on stdout before each new token is what was certain by then."""
    before: list[str] = []
    written: list[str] = []

    class Stdout:
        def write(self, text: str) -> None:
            written.append(text)

        def flush(self) -> None:
            before.append("".join(written))

    monkeypatch.setattr(answering.sys, "stdout", Stdout())
    rules = answering.sampling_rules("generate", max_new_tokens=12)
    answering.answer(llm, llm.tokenizer.encode(PROMPT), rules, stream=True)
    whole = llm.generate(PROMPT, max_new_tokens=12)
    assert before[-1].removesuffix("\n") == whole.removesuffix("\n")
    assert len(set(before)) > 6
    assert all(whole.startswith(text) for text in before[:-1])


def test_json_leaves_nothing_else_on_stdout(lampe: Lampe, checkpoint: Path) -> None:
    result = lampe("generate", checkpoint, PROMPT * 8, "-n", 2, "--json")
    assert sorted(json.loads(result.stdout)) == ["checkpoint", "ids", "positional", "prompt_tokens", "sampling", "text"]


def test_leaving_the_trained_window_is_one_dim_line(lampe: Lampe, checkpoint: Path, llm: LLM) -> None:
    prompt = "".join(chr(33 + k % 90) for k in range(400))
    tokens = len(llm.tokenizer.encode(prompt))
    assert tokens > 128
    result = lampe("generate", checkpoint, prompt, "-n", 1)
    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: rope: {tokens} tokens reach relative position {tokens - 1}, outside the trained window of 128\n"
    )
