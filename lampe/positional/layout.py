"""Key layouts: at which coordinate each cached key lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from lampe.positional.region import IndexMap


def turn(positions: Tensor, inv_freq: Tensor) -> Tensor:
    """Radians, fp32 [n, D / 2], of coordinates [n] or [n, groups]; consecutive frequencies form a group."""
    if positions.ndim == 1:
        positions = positions[:, None]
    else:
        positions = positions.repeat_interleave(len(inv_freq) // positions.shape[1], dim=1)
    return positions.float() * inv_freq.to(positions.device)


@dataclass(frozen=True, eq=False)
class Coordinate:
    """How far a key is rotated: by position(j) * inv_freq.

    Attributes:
        position: coordinate of key j.
        inv_freq: fp32 [D / 2].
    """

    position: IndexMap
    inv_freq: Tensor

    def angles(self, begin: int, end: int) -> Tensor:
        """Radians, fp32 [end - begin, D / 2], of the keys begin .. end - 1."""
        return turn(self.position(torch.arange(begin, end)), self.inv_freq)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coordinate) or self.position != other.position:
            return False
        return self.inv_freq is other.inv_freq or torch.equal(self.inv_freq, other.inv_freq)

    def __hash__(self) -> int:
        return hash(self.position)


@dataclass(frozen=True)
class Run:
    """Consecutive keys begin .. end - 1 at one coordinate."""

    begin: int
    end: int
    coordinate: Coordinate


@dataclass(frozen=True)
class KeyLayout:
    """The coordinate at which each key of a sequence lies, as runs without gaps from the first key on.

    Rotations compose, so keys go from one layout to another by the difference of their angles.
    """

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, owned: Sequence[Run], length: int) -> KeyLayout:
        """Disjoint runs in any order; keys of none of them lie as the run behind them does."""
        runs: list[Run] = []
        ordered = sorted((run for run in owned if run.begin < run.end), key=lambda run: run.begin)
        for run in ordered:
            begin = runs[-1].end if runs else 0
            if runs and runs[-1].coordinate == run.coordinate:
                begin = runs.pop().begin
            runs.append(Run(begin, length if run is ordered[-1] else run.end, run.coordinate))
        return cls(tuple(runs))

    def part(self, begin: int, end: int) -> list[Run]:
        """The runs of the keys begin .. end - 1."""
        clipped = (Run(max(run.begin, begin), min(run.end, end), run.coordinate) for run in self.runs)
        return [run for run in clipped if run.begin < run.end]

    def angles(self, begin: int, end: int) -> Tensor:
        """Radians, fp32 [end - begin, D / 2], by which the keys begin .. end - 1 are rotated."""
        return torch.cat([run.coordinate.angles(run.begin, run.end) for run in self.part(begin, end)])

    def lies_at(self, coordinate: Coordinate, begin: int, end: int) -> bool:
        """Whether all keys begin .. end - 1 lie at one coordinate."""
        return all(run.coordinate == coordinate for run in self.part(begin, end))

    def moves(self, to: KeyLayout, length: int) -> list[tuple[int, int]]:
        """The stretches [begin, end) of the first `length` keys that lie elsewhere in another layout."""
        if self is to:
            return []
        edges = {0, length, *(run.begin for layout in (self, to) for run in layout.part(0, length))}
        moved: list[tuple[int, int]] = []
        for begin, end in pairwise(sorted(edges)):
            (here,), (there,) = self.part(begin, end), to.part(begin, end)
            if here.coordinate != there.coordinate:
                joined = bool(moved) and moved[-1][1] == begin
                moved.append((moved.pop()[0] if joined else begin, end))
        return moved
