"""What a positional method does to the positions of an input: its facts, and its map at any length."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lampe.config import FrozenModel
from lampe.errors import ConfigError
from lampe.positional import PositionalEncoding, PositionPlan
from lampe.positional.base import LONGEST, inverse_frequencies


class RegionFacts(FrozenModel):
    """One region of a plan.

    Attributes:
        nearest, farthest: distances i - j that the last query reads through it, in tokens; None where it reads none.
        lowest, highest: the relative positions of those.
        pairs: how many of all query-key pairs it owns.
        share: of the causal pairs, 0 to 1.
    """

    name: str
    nearest: int | None
    farthest: int | None
    lowest: float | None
    highest: float | None
    pairs: int
    share: float


class PlanFacts(FrozenModel):
    """A method at one length.

    Attributes:
        method: its config.
        length: N, in tokens.
        trained_window: L of the checkpoint, in tokens.
        position_limit: relative positions below this were trained, or stand for trained ones by scaled frequencies;
            None where a method leaves no position that could be outside.
        sliding_window: of the layer that was looked at, in tokens; None where it sees every earlier token.
        regions: in the order of the plan.
        dropped_pairs: causal pairs that no region owns.
        largest_position: over all attended pairs.
        tokens_reached: keys that the last query reads at a relative position below `position_limit`.
        distinct_positions: different relative positions among all keys that the last query reads.
        rotated_keys: cached keys that a decode step rotates to another coordinate.
        temperature: A; logits are multiplied by A^2.
        log_n_window: the L of log-n scaling, or None.
        frequency_ratio: inv_freq over that of plain RoPE, a number for each of the D / 2 frequencies.
    """

    method: dict[str, Any]
    length: int
    trained_window: int
    position_limit: float | None
    sliding_window: int | None
    regions: tuple[RegionFacts, ...]
    dropped_pairs: int
    largest_position: float
    tokens_reached: int
    distinct_positions: int
    rotated_keys: int
    temperature: float
    log_n_window: int | None
    frequency_ratio: tuple[float, ...]

    @property
    def limit(self) -> float:
        """`position_limit` as a number."""
        return math.inf if self.position_limit is None else self.position_limit

    @property
    def inside(self) -> bool:
        """Whether every relative position was trained, or stands for one that was."""
        return self.largest_position < self.limit


def plan_facts(method: PositionalEncoding, length: int, *, sliding_window: int | None = None) -> PlanFacts:
    """What `method` makes of `length` tokens; linear in `length`.

    Args:
        method: bound to the RoPE of a checkpoint.
        sliding_window: the window of the layer to look at, in tokens.

    Raises:
        ConfigError: `length` is below 1, or above what fp32 angles can tell apart.
        ValueError: the method cannot plan that length.
    """
    if not 1 <= length <= LONGEST:
        raise ConfigError(f"length = {length}: expected 1 to {LONGEST} tokens")
    plan = method.plan(length, sliding_window=sliding_window).within(sliding_window)
    last, keys = torch.tensor([length - 1]), torch.arange(length)
    positions, owners = relative_positions(plan, last, keys)
    causal = length * (length + 1) // 2
    regions = tuple(
        _region_facts(plan, index, positions[0][owners[0] == index], causal) for index in range(len(plan.regions))
    )
    attended = positions[owners >= 0]
    limit = method.position_limit(length)
    return PlanFacts(
        method=method.config.model_dump(mode="json"),
        length=length,
        trained_window=method.window,
        position_limit=None if math.isinf(limit) else limit,
        sliding_window=sliding_window,
        regions=regions,
        dropped_pairs=causal - sum(region.pairs for region in regions),
        largest_position=plan.largest_position(),
        tokens_reached=int((attended < limit).sum()),
        distinct_positions=int((attended.sort().values.diff() > 0).sum()) + 1,
        rotated_keys=rotated_keys(plan),
        temperature=plan.temperature,
        log_n_window=plan.log_n_window,
        frequency_ratio=tuple(frequency_ratio(method, plan).tolist()),
    )


def relative_positions(plan: PositionPlan, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """The relative positions of chosen pairs, without those between them.

    Args:
        queries: token indices, int64 [q].
        keys: token indices, int64 [k].

    Returns:
        float64 [q, k], -1 where a query does not attend a key (the largest where frequency groups differ); and the
        index of the region that owns the pair, int64 [q, k], -1 for none.
    """
    shape = len(queries), len(keys)
    positions = torch.full(shape, -1.0, dtype=torch.float64)
    owners = torch.full(shape, -1)
    for index, region in enumerate(plan.regions):
        start, stop = region.interval(queries)
        owned = (keys >= start[:, None]) & (keys < stop[:, None])
        relative = (region.query_position(queries)[:, None] - region.key_position(keys)[None]).double()
        positions = torch.where(owned, relative if relative.ndim == 2 else relative.amax(-1), positions)
        owners.masked_fill_(owned, index)
    return positions, owners


def group_positions(plan: PositionPlan, query: int, keys: Tensor) -> Tensor:
    """The relative positions of one query by frequency group.

    Args:
        keys: token indices, int64 [k].

    Returns:
        float64 [k, groups], one group for methods that treat all frequencies alike; NaN where a key is not attended.
    """
    last = torch.tensor([query])
    found = torch.full((len(keys), 1), math.nan, dtype=torch.float64)
    for region in plan.regions:
        start, stop = region.interval(last)
        owned = (keys >= start) & (keys < stop)
        relative = (region.query_position(last) - region.key_position(keys)).double().reshape(len(keys), -1)
        found = torch.where(owned[:, None], relative, found)
    return found


def rotated_keys(plan: PositionPlan) -> int:
    """Keys of earlier tokens that the first token after the planned length moves to another coordinate in the cache."""
    before, after = plan.layout(plan.length - 1), plan.layout(plan.length)
    return sum(end - begin for begin, end in before.moves(after, plan.length))


def sample_grid(length: int, size: int = 512) -> Tensor:
    """At most `size` token indices spread evenly from the first to the last of `length`, int64."""
    return torch.linspace(0, length - 1, min(size, length), dtype=torch.float64).round().long()


def frequency_ratio(method: PositionalEncoding, plan: PositionPlan) -> Tensor:
    """inv_freq over that of plain RoPE, fp32 [D / 2]."""
    return plan.inv_freq.cpu() / inverse_frequencies(method.rope.theta, method.rope.dim)


def _region_facts(plan: PositionPlan, index: int, positions: Tensor, causal: int) -> RegionFacts:
    region = plan.regions[index]
    start, stop = region.interval(torch.arange(plan.length))
    pairs = int((stop - start).sum())
    reads = len(positions) > 0
    return RegionFacts(
        name=region.name,
        nearest=plan.length - int(stop[-1]) if reads else None,
        farthest=plan.length - 1 - int(start[-1]) if reads else None,
        lowest=float(positions.min()) if reads else None,
        highest=float(positions.max()) if reads else None,
        pairs=pairs,
        share=pairs / causal,
    )
