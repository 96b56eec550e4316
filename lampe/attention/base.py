"""What every attention backend is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from lampe.attention.view import PlanView
from lampe.config import FrozenModel
from lampe.positional.plan import PositionPlan
from lampe.registry import Registry, validate


class BackendConfig(FrozenModel):
    """The fields of all backends."""

    kind: str


class AttentionBackend(ABC):
    """Attention over a position plan; all backends return the same numbers.

    Args:
        config: the backend's own `Config`; None makes one from `fields`.
    """

    Config: ClassVar[type[BackendConfig]]

    def __init__(self, config: BackendConfig | None = None, **fields: Any):
        if config is None:
            config = validate(self.Config, fields, f"attention backend {self.Config.model_fields['kind'].default!r}")
        self.config: Any = config

    @abstractmethod
    def forward(self, query: Tensor, key: Tensor, value: Tensor, view: PlanView) -> Tensor:
        """Attention of the view's queries over the view's keys.

        Notation: b batch, h query heads, g key-value heads (h is a multiple of g), t queries, s keys, d head dimension.

        Args:
            query: [b, h, t, d], not rotated.
            key: [b, g, s, d], as the view says they lie.
            value: [b, g, s, d].
            view: the plan seen from the t last of s tokens.

        Returns:
            [b, h, t, d]

        Raises:
            UnsupportedPlanError: this backend does not take such a plan.
        """

    def supports(self, view: PlanView) -> bool:
        """Whether `forward` takes this plan; every plan, unless a backend says otherwise."""
        return True

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, plan: PositionPlan) -> Tensor:
        """Attention of the last t of s tokens, for un-rotated query [b, h, t, d], key and value [b, g, s, d].

        Raises:
            ValueError: the shapes do not fit each other, or gradients would have to be recorded.
        """
        first = key.shape[2] - query.shape[2]
        fits = query.shape[0] == key.shape[0] and query.shape[1] % key.shape[1] == 0 and query.shape[3] == key.shape[3]
        if first < 0 or not fits or key.shape != value.shape:
            shapes = ", ".join(str(list(x.shape)) for x in (query, key, value))
            raise ValueError(
                f"query, key, value {shapes}: expected [b, h, t, d], [b, g, s, d], [b, g, s, d] with t <= s"
            )
        if torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value)):
            raise ValueError("attention backends record no gradients: call them under torch.no_grad(), or detach")
        view = PlanView(plan, first, query.shape[2], dtype=query.dtype, device=query.device)
        return self.forward(query, key, value, view)


def _import_builtin() -> None:
    import lampe.attention  # noqa: F401


registry: Registry[AttentionBackend] = Registry(
    "lampe.attention", AttentionBackend, "attention backend", builtin=_import_builtin
)
