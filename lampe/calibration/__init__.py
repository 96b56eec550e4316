"""Calibration: fits LaMPE's mapping span to a model, and writes the profile that holds it."""

from __future__ import annotations

from lampe.calibration.fit import fit_curve
from lampe.calibration.run import Calibrated, calibrate, default_lengths
from lampe.calibration.settings import PARTS, Settings

__all__ = ["PARTS", "Calibrated", "Settings", "calibrate", "default_lengths", "fit_curve"]
