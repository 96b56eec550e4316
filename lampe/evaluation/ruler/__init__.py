"""RULER, the synthetic long-context benchmark (Hsieh et al., arXiv 2404.06654)."""

from __future__ import annotations

from lampe.evaluation.ruler.niah import (
    Niah,
    NiahMultikey1,
    NiahMultikey2,
    NiahMultikey3,
    NiahMultiquery,
    NiahMultivalue,
    NiahSingle1,
    NiahSingle2,
    NiahSingle3,
)
from lampe.evaluation.ruler.tracking import VariableTracking
from lampe.evaluation.ruler.words import FrequentWords

__all__ = [
    "FrequentWords",
    "Niah",
    "NiahMultikey1",
    "NiahMultikey2",
    "NiahMultikey3",
    "NiahMultiquery",
    "NiahMultivalue",
    "NiahSingle1",
    "NiahSingle2",
    "NiahSingle3",
    "VariableTracking",
]
