"""The study of SmolLM2: `make study`. Its scores are there; `--out FOLDER` makes them anew. See `lampe compare`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from examples.demo import model_folder
from lampe.cli import main

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    # The experiment names the model by its place in the project.
    os.chdir(HERE.parent.parent)
    model_folder()
    sys.argv = ["lampe", "compare", str(HERE / "study.yaml"), "--out", str(HERE / "results"), *sys.argv[1:]]
    main()
