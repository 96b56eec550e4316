"""From a folder to a model and to its first logits, lampe against transformers: `python -m benchmarks.loading`.

Every load is made in a fresh process, and the file is in the page cache. Imports do not count: what either library
imports while it loads is found out in a process of its own and imported beforehand in those that are measured. What a
user waits for is the last row, with all imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import command_line, interleave, parse
from benchmarks.pictures import bars, drawing
from benchmarks.report import Report
from examples.demo import MODEL, model_folder

PEER = "transformers"
PHASES = {
    "imports": "imports",
    "loaded": "folder to model",
    "logits": "folder to first logits",
    "all": "imports to first logits",
}
"""The names of the times that a process tells, and how they are shown."""

LOADERS = {
    PEER: """
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
logging.set_verbosity_error()
logging.disable_progress_bar()
def load(folder):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="sdpa", local_files_only=True
    )
@torch.inference_mode()
def logits(model, ids):
    return model(torch.tensor([ids]), logits_to_keep=1).logits
""",
    "lampe": """
import torch
from lampe import LLM
def load(folder):
    return LLM.load(folder, dtype="bfloat16", device="cpu", tokenizer=False)
def logits(model, ids):
    return model.logits([ids], last=1)
""",
}
"""Imports, and how to load a model and run a prompt; neither library reads a tokenizer."""

PROCESS = """
import contextlib, importlib, json, sys, time
began = time.perf_counter()
{loader}
for name in {late}:
    with contextlib.suppress(Exception):
        importlib.import_module(name)
imported, known = time.perf_counter(), set(sys.modules)
model = load({folder})
loaded = time.perf_counter()
logits(model, list(range(100, 116)))
done = time.perf_counter()
print(json.dumps({{
    "imports": imported - began,
    "loaded": loaded - imported,
    "logits": done - imported,
    "all": done - began,
    "late": sorted(set(sys.modules) - known),
}}))
"""
"""What a fresh process runs: seconds of its imports, to the model, to the logits, and modules that came in late."""


def fresh_process(run: str, folder: Path, late: list[str]) -> dict[str, Any]:
    """What a process tells that imports `late`, loads the model and runs 16 tokens."""
    code = PROCESS.format(loader=LOADERS[run], folder=repr(str(folder)), late=late)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{run}: the process that loads ended with {process.returncode}\n{process.stderr}")
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = command_line(__doc__, "loading", repeats=7)
    options = parse(parser)
    folder = model_folder().resolve()
    runs = {}
    for name in LOADERS:
        late = fresh_process(name, folder, [])["late"]
        runs[name] = partial(fresh_process, name, folder, late)
    found = interleave(runs, options.repeats, "loading")
    about = {"model": MODEL, "dtype": "bfloat16", PEER: version(PEER)}
    report = Report(options.out, [PEER], about=about)
    for phase, shown in PHASES.items():
        report.add({"phase": shown}, {name: [times[phase] for times in told] for name, told in found.items()})
    groups: dict[str, Any] = {}
    for result in report.results:
        groups.setdefault(str(result.setting["phase"]).replace(" to ", "\nto "), {})[result.run] = result.over[PEER]
    with drawing(report.picture, 1, f"{MODEL}: loading") as (axes,):
        bars(axes, groups)
        axes.set_ylabel("time over transformers")
    report.show(f"{MODEL}: loading in a fresh process")


if __name__ == "__main__":
    main()
