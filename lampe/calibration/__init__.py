"""Calibration: fits LaMPE's mapping span to a model, and writes the profile that holds it."""

from __future__ import annotations

from lampe.calibration.fit import fit_curve
from lampe.calibration.run import Calibrated, calibrate
from lampe.calibration.settings import Settings

__all__ = ["Calibrated", "Settings", "calibrate", "fit_curve"]
