"""The shared matrix: every property that a positional method or an attention backend must have, on random plans.

A method enters by a `Case`, a backend by being given to `check_backend`. lampe's own tests run the same matrix over
`CASES`; a plug-in runs it in its tests (extra `testing`).
"""

from __future__ import annotations

from lampe.errors import MissingExtraError

try:
    import hypothesis  # noqa: F401
except ImportError:
    raise MissingExtraError("hypothesis", "testing", "lampe.testing") from None

from lampe.testing.case import ROPE, WINDOW, Case, Position
from lampe.testing.cases import CASES
from lampe.testing.matrix import PROPERTIES, Property, check, check_backend, run

__all__ = [
    "CASES",
    "PROPERTIES",
    "ROPE",
    "WINDOW",
    "Case",
    "Position",
    "Property",
    "check",
    "check_backend",
    "run",
]
