"""`lampe convert`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lampe.checkpoint.convert import convert_gguf
from lampe.cli import convert
from lampe.llm import LLM
from tests.checkpoint.gguf_samples import Sample, random_model
from tests.cli.chat_model import Lampe

IDS = [[1, 7, 42, 99, 3, 250]]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Sample(random_model("Llama")).write(tmp_path_factory.mktemp("gguf") / "model.gguf")


def test_the_folder_is_that_of_the_api(lampe: Lampe, gguf: Path, tmp_path: Path) -> None:
    result = lampe("convert", gguf, tmp_path / "out", "--dtype", "float32")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{tmp_path / 'out'}\n", "")
    convert_gguf(gguf, tmp_path / "api", dtype="float32")
    ours, theirs = (LLM.load(tmp_path / name, device="cpu") for name in ("out", "api"))
    assert torch.equal(ours.logits(IDS), theirs.logits(IDS))
    with torch.no_grad():
        judge = random_model("Llama")(torch.tensor(IDS)).logits
    assert float((ours.logits(IDS) - judge).abs().max()) < 1e-5 * float(judge.abs().max())


def test_overwrite_and_dtype(lampe: Lampe, gguf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert lampe("convert", gguf, folder).exit_code == 0
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    again = lampe("convert", gguf, folder)
    assert (again.exit_code, again.stderr) == (
        2,
        f"error: {folder} is not empty; choose another folder, or overwrite it\n",
    )
    assert lampe("convert", gguf, folder, "--overwrite", "--dtype", "float16").exit_code == 0
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "float16"


def test_progress_counts_the_tensors(lampe: Lampe, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = []
    original = convert.progress_bar
    monkeypatch.setattr(convert, "progress_bar", lambda: bars.append(original()) or bars[-1])
    lampe("convert", gguf, tmp_path / "out")
    (task,) = bars[0].tasks
    tensors = len(random_model("Llama").state_dict())
    assert (task.completed, task.total, task.finished) == (tensors, tensors, True)
