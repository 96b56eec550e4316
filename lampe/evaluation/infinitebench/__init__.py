"""InfiniteBench (Zhang et al., arXiv 2402.13718): twelve datasets of long inputs."""

from __future__ import annotations

from lampe.evaluation.infinitebench.code_run import CodeRun
from lampe.evaluation.infinitebench.data import InfiniteBench
from lampe.evaluation.infinitebench.kv_retrieval import KVRetrieval
from lampe.evaluation.infinitebench.math_calc import MathCalc
from lampe.evaluation.infinitebench.math_find import MathFind
from lampe.evaluation.infinitebench.noise import InfinitePasskey, NumberString

__all__ = ["CodeRun", "InfiniteBench", "InfinitePasskey", "KVRetrieval", "MathCalc", "MathFind", "NumberString"]
