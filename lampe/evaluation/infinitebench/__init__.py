"""InfiniteBench (Zhang et al., arXiv 2402.13718): twelve datasets of long inputs."""

from __future__ import annotations

from lampe.evaluation.infinitebench.kv_retrieval import KVRetrieval

__all__ = ["KVRetrieval"]
