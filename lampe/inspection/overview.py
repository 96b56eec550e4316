"""Every method in a line: what it changes, how far it reaches, what it costs."""

from __future__ import annotations

import math
import warnings

from lampe.config import FrozenModel, RopeConfig
from lampe.errors import LampeError
from lampe.inspection.facts import rotated_keys
from lampe.positional import PositionalEncoding, PositionPlan, PositionWarning, ProfileWarning, RoPE, registry


class MethodOverview(FrozenModel):
    """A registered method with its defaults, for a trained window L.

    Attributes:
        family: "frequency", "remap" or "window".
        changes: of plain RoPE: frequencies, positions, logits, attended keys.
        reach_formula: in the letters of the paper.
        reach: the longest input it maps inside L as it is, in tokens; None for no end.
        reach_2x: the same after `for_length(2 L)`.
        reach_4x: the same after `for_length(4 L)`.
        rotated_keys: cached keys that a decode step rotates at 4 L cached tokens; every method caches one K and one V a
            token.
        drops: which keys a query does not attend.
        needs: why there are no figures: what the method must be given first, or that it refuses 4 L tokens.
    """

    name: str
    family: str
    experimental: bool
    summary: str
    paper: str | None
    changes: tuple[str, ...] = ()
    reach_formula: str = ""
    reach: int | None = None
    reach_2x: int | None = None
    reach_4x: int | None = None
    rotated_keys: int | None = None
    drops: str = ""
    needs: str | None = None


def overview(name: str, rope: RopeConfig) -> MethodOverview:
    """What there is to know of a registered method before one tries it.

    Args:
        name: as it is registered.
        rope: of the checkpoint it would run on.
    """
    entry = registry.entry(name)
    known = {
        "name": entry.name,
        "family": entry.cls.family,
        "experimental": entry.cls.experimental,
        "summary": entry.summary,
        "paper": entry.paper,
        "reach_formula": entry.cls.reach_formula,
        "drops": entry.cls.drops,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PositionWarning)
        warnings.simplefilter("ignore", ProfileWarning)
        try:
            method = registry.create(name, rope)
            twice, four_times = (method.for_length(times * method.window) for times in (2, 4))
            plan = four_times.plan(4 * method.window)
            return MethodOverview(
                **known,
                changes=_changes(method, plan),
                reach=_whole(method.reach()),
                reach_2x=_whole(twice.reach()),
                reach_4x=_whole(four_times.reach()),
                rotated_keys=rotated_keys(plan),
            )
        except LampeError as error:
            return MethodOverview(**known, needs=str(error))


def _changes(method: PositionalEncoding, plan: PositionPlan) -> tuple[str, ...]:
    plain = RoPE().bind(method.rope)._plan(plan.length)
    changed = {
        "frequencies": not plan.inv_freq.equal(plain.inv_freq),
        "positions": plan.regions != plain.regions,
        "logits": plan.temperature != 1 or plan.log_n_window is not None,
        "attended keys": bool(method.drops),
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def _whole(reach: float) -> int | None:
    return None if math.isinf(reach) else int(reach)
