"""Calibrates the demo's model, as the profile that ships was: `make calibrate`. Arguments go to `lampe calibrate`."""

from __future__ import annotations

import sys

from examples.demo import model_folder
from lampe.cli import main

if __name__ == "__main__":
    sys.argv = ["lampe", "calibrate", str(model_folder()), *sys.argv[1:]]
    main()
