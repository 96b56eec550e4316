"""RULER, the synthetic long-context benchmark (Hsieh et al., arXiv 2404.06654)."""

from __future__ import annotations

from lampe.evaluation.ruler.common_words import CommonWords
from lampe.evaluation.ruler.frequent_words import FrequentWords
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
from lampe.evaluation.ruler.qa import HotpotQa, SquadQa
from lampe.evaluation.ruler.tracking import VariableTracking

__all__ = [
    "CommonWords",
    "FrequentWords",
    "HotpotQa",
    "Niah",
    "NiahMultikey1",
    "NiahMultikey2",
    "NiahMultikey3",
    "NiahMultiquery",
    "NiahMultivalue",
    "NiahSingle1",
    "NiahSingle2",
    "NiahSingle3",
    "SquadQa",
    "VariableTracking",
]
