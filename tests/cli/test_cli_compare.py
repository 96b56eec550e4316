"""`lampe compare`: what it prints and writes, how it is stopped and goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lampe.cli.compare import ADDRESS, CompareCommand
from lampe.evaluation import compare
from tests.cli.chat_model import Lampe

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "experiment.json",
    "report.html",
    "results.jsonl",
    "summary.csv",
    "summary.json",
    "summary.md",
    "timings.jsonl",
}


@pytest.fixture
def fields(checkpoint: Path, prose: Path) -> dict[str, Any]:
    """An experiment of 3 methods x (2 + 4) samples x 2 lengths."""
    return {
        "title": "A small comparison",
        "models": [{"checkpoint": str(checkpoint), "device": "cpu", "dtype": "float32", "threads": 1}],
        "methods": {"RoPE": "rope", "YaRN": "yarn", "LaMPE": {"kind": "lampe", "head": 16, "tail": 8, "span": 64}},
        "tasks": [
            {"kind": "perplexity", "text": str(prose), "tokens": 20, "places": 2},
            {"kind": "passkey", "text": str(prose), "places": 2, "keys": 2, "depths": [0.5], "max_new_tokens": 4},
        ],
        "lengths": [150, 260],
    }


@pytest.fixture
def file(fields: dict[str, Any], tmp_path: Path) -> Path:
    """That experiment as a file."""
    return written(tmp_path, fields)


def written(folder: Path, fields: dict[str, Any], name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    return path


def test_one_command_measures_and_reports(lampe: Lampe, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = lampe("compare", file, "--out", out)
    assert result.exit_code == 0
    assert "1 model, 3 methods, 2 tasks: 36 scores; to read" in result.stderr.replace("\n", " ")
    assert "36 of 36 scores; wrote" in result.stdout
    assert {path.name for path in out.iterdir()} > FILES
    pictures = {path.name for path in (out / "pictures").iterdir()}
    assert pictures == {"differences.png", "passkey.png", "passkey-depths.png", "perplexity.png"}
    summary = json.loads((out / "summary.json").read_text())
    (row,) = [
        row for row in summary["rows"] if (row["task"], row["method"], row["length"]) == ("perplexity", "LaMPE", 260)
    ]
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    losses = [
        record["score"]
        for record in records
        if (record["name"], record["setting"]["label"], record["length"]) == ("perplexity", "LaMPE", 260)
    ]
    assert len(losses) == 2
    assert row["figure"] == pytest.approx(2.718281828459045 ** (sum(losses) / 2))
    about = json.loads((out / "experiment.json").read_text())
    assert about["scores"] == 36
    assert about["experiment"]["tasks"][1]["task"]["digits"] == 5
    assert "A small comparison" in (out / "report.html").read_text()
    (remark,) = [note for note in summary["notes"] if "not trained on" in note["text"]]
    assert remark["text"] == (
        "Relative positions that chat-model was not trained on are used by RoPE at 150, 260 tokens."
    )
    # What is there is not measured again, and --json prints the summary alone.
    again = lampe("compare", file, "--out", out, "--json")
    assert json.loads(again.stdout) == summary
    assert "36 are in" in again.stderr


@pytest.mark.slow
def test_the_time_ends_a_run_and_the_next_one_goes_on(lampe: Lampe, file: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    result = lampe("compare", file, "--out", out, "--minutes", 0)
    assert result.exit_code == 2
    assert "holds no scores yet" in result.stderr

    def interrupted(*arguments: Any, **options: Any) -> Any:
        for count, item in enumerate(compare.run(*arguments, **options)):
            yield item
            if count == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr("lampe.cli.compare.run", interrupted)
    result = lampe("compare", file, "--out", out)
    assert result.exit_code == 130
    assert "interrupted: 7 of 36 scores are there; the same command goes on" in result.stderr.replace("\n", " ")
    assert "7 of 36 scores; wrote" in result.stdout
    monkeypatch.undo()
    report = lampe("compare", file, "--out", out, "--report")
    assert "7 of 36 scores; wrote" in report.stdout
    assert "36 of 36 scores; wrote" in lampe("compare", file, "--out", out).stdout


@pytest.mark.parametrize("more", [[], ["--report"]])
def test_a_finished_folder_is_not_taken_for_another_experiment(
    lampe: Lampe, fields: dict[str, Any], tmp_path: Path, more: list[str]
) -> None:
    fields["tasks"], fields["lengths"] = [{**fields["tasks"][0], "places": 1}], [150]
    fields["methods"] = {"RoPE": "rope", "YaRN": {"kind": "yarn", "factor": 2}}
    out = tmp_path / "out"
    assert lampe("compare", written(tmp_path, fields), "--out", out).exit_code == 0
    before = (out / "experiment.json").read_bytes()
    fields["methods"]["YaRN"]["factor"] = 8
    result = lampe("compare", written(tmp_path, fields), "--out", out, *more)
    assert result.exit_code == 2
    assert "scores of YaRN at 150 tokens that were made otherwise: positional was" in result.stderr
    assert (out / "experiment.json").read_bytes() == before


def test_what_the_loaded_model_refuses_changes_no_file(lampe: Lampe, fields: dict[str, Any], tmp_path: Path) -> None:
    fields["tasks"], fields["lengths"] = [{**fields["tasks"][0], "limit": 1}], [150]
    out = tmp_path / "out"
    assert lampe("compare", written(tmp_path, fields), "--out", out).exit_code == 0
    before = (out / "experiment.json").read_bytes()
    results = (out / "results.jsonl").read_text()
    (out / "results.jsonl").write_text(results.replace('"torch":"', '"torch":"0.'))
    fields["tasks"][0]["limit"] = 2
    result = lampe("compare", written(tmp_path, fields), "--out", out)
    assert result.exit_code == 2
    assert "made otherwise: torch was '0." in result.stderr
    assert (out / "experiment.json").read_bytes() == before


def test_a_length_that_is_left_out_is_not_missing(lampe: Lampe, fields: dict[str, Any], tmp_path: Path) -> None:
    fields["methods"] = ["rope"]
    fields["tasks"][0] |= {"places": 1, "limit": {150: 0}}
    fields["tasks"][1] |= {"places": 1, "limit": {150: 0, 260: 0}}
    out = tmp_path / "out"
    result = lampe("compare", written(tmp_path, fields), "--out", out)
    assert "1 of 1 scores; wrote" in result.stdout
    summary = json.loads((out / "summary.json").read_text())
    assert [(row["task"], row["length"]) for row in summary["rows"]] == [("perplexity", 260)]
    assert not any("missing" in note["text"] or "no score" in note["text"] for note in summary["notes"])
    assert "150" not in (out / "summary.md").read_text().split("perplexity", 1)[1].splitlines()[2]
    assert "passkey" not in (out / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.yaml"], "experiment nowhere.yaml cannot be read: No such file or directory"),
        (["{file}", "--workers", 2], "--workers 2 needs --ray: without it one process measures"),
        (["{file}", "--out", "{file}"], "is a file: a folder for the results would be accepted"),
    ],
)
def test_bad_input_is_one_sentence(lampe: Lampe, file: Path, arguments: list[Any], sentence: str) -> None:
    result = lampe("compare", *(str(argument).format(file=file) for argument in arguments))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_that_is_not_there_leaves_no_folder(lampe: Lampe, fields: dict[str, Any], tmp_path: Path) -> None:
    file = written(tmp_path, {**fields, "models": ["nowhere"]})
    result = lampe("compare", file, "--out", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "'nowhere' is no folder here" in result.stderr


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (["f.yaml", "--ray"], "local"),
        (["--ray", "f.yaml"], "local"),
        (["f.yaml", "--ray", "--json"], "local"),
        (["f.yaml", "--ray", "auto"], "auto"),
        (["f.yaml", "--ray", "head:6379"], "head:6379"),
        (["f.yaml", "--ray=ray://head:10001"], "ray://head:10001"),
    ],
)
def test_ray_stands_with_or_without_an_address(monkeypatch, words: list[str], address: str) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr("typer.core.TyperCommand.parse_args", lambda self, ctx, args: seen.append(args))
    CompareCommand("compare").parse_args(None, words)
    (args,) = seen
    if f"--ray={address}" not in args:
        assert args[args.index("--ray") + 1] == address
        assert ADDRESS.fullmatch(address)
    assert "f.yaml" in args


def command(file: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "lampe", "compare", str(file), "--out", str(out), *more]


def finished(file: Path, out: Path, *more: str) -> bytes:
    """The results of a run that nobody disturbs."""
    done = subprocess.run(command(file, out, *more), capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return (out / "results.jsonl").read_bytes()


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_nothing(fields: dict[str, Any], tmp_path: Path) -> None:
    fields["tasks"][1] |= {"keys": 6, "places": 4, "max_new_tokens": 60}
    fields["tasks"][0] |= {"places": 6}
    file = written(tmp_path, fields)
    expected = finished(file, tmp_path / "whole")
    draws, out, kills, grown = random.Random(0), tmp_path / "killed", 0, []
    results = out / "results.jsonl"
    while kills < 10:
        process = subprocess.Popen(command(file, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        size = results.stat().st_size if results.exists() else 0
        deadline = time.monotonic() + 120
        # Once it measures, at any moment of the next tenth of a second: what it had is a tenth of the whole at most.
        while process.poll() is None and time.monotonic() < deadline:
            if results.exists() and results.stat().st_size > size:
                break
            time.sleep(0.002)
        time.sleep(draws.uniform(0, 0.1))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait(60)
        content = results.read_bytes()
        # What is there is a beginning of the whole file, but for half a line at its end.
        assert expected.startswith(content[: content.rfind(b"\n") + 1])
        grown.append(content.count(b"\n"))
        if content == expected:
            break
    assert kills == 10, f"all was measured after {kills} kills: {grown}"
    assert grown == sorted(grown)
    assert finished(file, out) == expected


@pytest.mark.slow
def test_workers_on_ray_give_the_same_file_when_one_is_killed(fields: dict[str, Any], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray (extra ray) is not installed")
    del ray
    fields["tasks"][1] |= {"keys": 4, "places": 6, "max_new_tokens": 60}
    file = written(tmp_path, fields)
    expected = finished(file, tmp_path / "whole")
    out = tmp_path / "ray"
    process = subprocess.Popen(
        command(file, out, "--ray", "--workers", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    results = out / "results.jsonl"
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if results.exists() and results.stat().st_size:
            break
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    (worker, *_) = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert results.read_bytes() == expected


def workers_of(pid: int) -> list[int]:
    """The processes of Ray's workers that descend from a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    parents = {int(child): int(parent) for child, parent, _ in rows}

    def descends(child: int) -> bool:
        while child in parents:
            if child == pid:
                return True
            child = parents[child]
        return False

    return [int(child) for child, _, words in rows if words.startswith("ray::Worker") and descends(int(child))]
