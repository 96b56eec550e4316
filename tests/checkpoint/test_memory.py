"""Loading in the dtype of the file maps it and copies nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]

MEASURE = """
import sys, torch
from safetensors import safe_open
from lampe.checkpoint import load_weights

class Holder(torch.nn.Module):
    def __init__(self, shapes):
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.empty(shape, dtype=torch.bfloat16, device="meta")))

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

with safe_open(sys.argv[1] + "/model.safetensors", "pt") as file:
    model = Holder({name: file.get_slice(name).get_shape() for name in file.keys()})
torch.ones(8, dtype=torch.bfloat16).sum()
before = resident("VmRSS")
load_weights(model, sys.argv[1], dtype=torch.bfloat16, device=torch.device("cpu"))
touched = sum(int(parameter.view(torch.uint8).max()) for parameter in model.parameters())
assert touched > 0
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory from /proc")
@pytest.mark.slow
def test_loading_takes_no_second_copy(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    tensors = {f"w{i}": torch.full((1024, 4096), float(i + 1), dtype=torch.bfloat16) for i in range(24)}
    save_file(tensors, tmp_path / "model.safetensors")
    size = (tmp_path / "model.safetensors").stat().st_size
    grown = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    growth = int(grown.stdout)
    # Less than the file would mean that the weights were not read at all.
    assert 0.95 * size < growth < 1.15 * size
