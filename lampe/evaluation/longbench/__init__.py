"""LongBench (Bai et al., arXiv 2308.14508): real texts of 1K to 20K words."""

from __future__ import annotations

from lampe.evaluation.longbench.task import LongBench

__all__ = ["LongBench"]
