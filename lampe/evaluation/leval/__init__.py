"""L-Eval (An et al., arXiv 2307.11088): long documents and questions about them."""

from __future__ import annotations

from lampe.evaluation.leval.task import LEval

__all__ = ["LEval"]
