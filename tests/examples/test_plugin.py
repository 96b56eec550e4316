"""The example of a plug-in, installed into an environment of its own: lampe finds it without being told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

import lampe
from tests.cli.chat_model import make_chat_model

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).resolve().parents[2] / "examples" / "plugin"
PROMPT = "A string literal is a prefix"


@dataclass(frozen=True)
class Installed:
    """An environment with the plug-in, and the folder that it was installed from."""

    python: Path
    source: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`python -m ...`; not in this repository, so that nothing is found there by chance."""
        return run(self.python, *arguments, folder=self.source)

    def document(self, *arguments: object) -> dict:
        """The JSON document that a `lampe` command prints."""
        done = self.run("lampe", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment that sees the packages of the running one, and the plug-in besides."""
    folder = tmp_path_factory.mktemp("environment")
    # A copy, so that no build leaves anything in the tree.
    source = shutil.copytree(PLUGIN, folder / "plugin", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = run(python, "pip", "install", "--quiet", "--no-deps", source, folder=folder)
    assert done.returncode == 0, done.stderr
    # lampe is an editable package there: a .pth file leads to it, and those of another environment are not read.
    seen = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(Path(lampe.__file__).parents[1])]
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    Path(packages, "running.pth").write_text("\n".join(dict.fromkeys(seen)))
    return Installed(python, source)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random model with 128 trained positions."""
    return make_chat_model(tmp_path_factory.mktemp("model") / "chat-model")


def run(python: str | Path, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    # Threads only wait for each other on a model this small.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LAMPE_TRACEBACK")}
    environment |= {"COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=500)


def test_it_is_listed(installed):
    rows = {row["name"]: row for row in installed.document("list", "methods")["methods"]}
    assert rows["staircase"]["summary"].startswith("true positions up to a window")
    assert set(rows["staircase"]["fields"]) >= {"window", "group", "ratio", "checkpoint_scaling", "temperature"}
    assert "self-extend" in rows


def test_it_is_inspected(installed):
    """W = 1024, R = 4; a group of one leaves positions as they are, one of two maps 16,384 tokens inside 8,192."""
    arguments = ("inspect", "staircase", "--length", 16384, "--set")
    assert installed.document(*arguments, "group=1")["largest_position"] == 16383
    facts = installed.document(*arguments, "group=2")
    bands = [(region["name"], region["nearest"], region["farthest"]) for region in facts["regions"]]
    assert bands == [("near", 0, 1023), ("first", 1024, 4095), ("last", 4096, 16383)]
    assert facts["dropped_pairs"] == 0
    assert facts["largest_position"] == 16383 // 4 + 2048 + 512 - 1024 < facts["trained_window"] == 8192


def test_it_generates(installed, checkpoint, tmp_path):
    """From its name and from a JSON file; 240 tokens are well past the 128 that the model was made for."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(" ".join([PROMPT] * 40))
    spec = tmp_path / "staircase.json"
    spec.write_text(json.dumps({"kind": "staircase", "window": 16, "group": 3}))
    arguments = ("generate", checkpoint, "--prompt-file", prompt, "-n", 8, "--positional")
    made = installed.document(*arguments, "staircase", "--set", "window=16", "--set", "group=3")
    assert made["positional"]["kind"] == "staircase"
    assert made["prompt_tokens"] > 200
    assert len(made["ids"]) == 8
    assert installed.document(*arguments, spec) == made
    assert installed.document(*arguments, "rope")["ids"] != made["ids"]


def test_an_unknown_field_is_one_sentence(installed):
    done = installed.run("lampe", "inspect", "staircase", "--set", "groups=2", "--length", 100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: positional method 'staircase': unknown field 'groups' (did you mean 'group'?)"
    )
    assert len(done.stderr.splitlines()) == 1


def test_its_own_tests_pass(installed):
    done = installed.run("pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout


def test_without_it_the_name_is_unknown(tmp_path):
    done = run(sys.executable, "lampe", "inspect", "staircase", "--length", 100, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown positional method 'staircase'" in done.stderr
