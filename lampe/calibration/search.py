"""Looks for the span with the least loss at one length: a coarse walk, then narrowing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lampe.errors import ConfigError
from lampe.positional.profile import Point, Tried

Measure = Callable[[int], Sequence[float]]
"""A span in tokens -> its loss in each context, in nats a token, of the same contexts in the same order."""


@dataclass
class Scan:
    """The spans that were tried at one length.

    A span is infinitely bad where the loss of a context is not finite.

    Attributes:
        length: of the contexts, in tokens.
        highest: the largest span that is tried: what leaves positions true, or else what stays inside the window.
        mapped: whether the highest span still maps positions.
        noise: what a loss must differ by at the least, in nats a token.
        losses: of each span, by context.
    """

    length: int
    highest: int
    mapped: bool
    noise: float
    losses: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """The span with the least mean loss; of equal ones the largest, which moves positions least."""
        return min(self.losses, key=lambda span: (self.mean(span), -span))

    def mean(self, span: int) -> float:
        """The mean loss of a span over the contexts."""
        return mean(self.losses[span])

    def gain(self, span: int, other: int) -> float:
        """By how much the mean loss of a span is below another's; of two infinitely bad ones neither gains."""
        mine, theirs = self.mean(span), self.mean(other)
        return 0.0 if mine == theirs else theirs - mine

    def noise_between(self, span: int, other: int) -> float:
        """What their mean losses must differ by to count: the standard error of the difference, or `noise`."""
        return max(self.noise, standard_error(self.losses[span], self.losses[other]) or 0.0)

    def walk(self, measure: Measure, *, lowest: int, ratio: float, patience: int) -> None:
        """Go down from the highest span in equal ratios until `patience` spans in a row are worse than the best.

        Long inputs lose steadily as the span shrinks, and the walk is over soon; where an optimum lies inside, it goes
        on until that is passed.
        """
        worse = 0
        for span in ladder(self.highest, lowest, ratio):
            self.attempt(span, measure)
            best = self.best
            worse = worse + 1 if self.gain(best, span) > self.noise_between(best, span) else 0
            if worse >= patience:
                break

    def narrow(self, measure: Measure, *, finest: float) -> None:
        """Try spans between the best one and its neighbours until nothing is gained beyond the noise.

        Raises:
            ConfigError: no span that was tried so far has a finite loss.
        """
        if not math.isfinite(self.mean(self.best)):
            raise ConfigError(
                f"length = {self.length}: none of the {len(self.losses)} spans that were tried ({min(self.losses)} to "
                f"{max(self.losses)}) has a finite loss; a length and a dtype with finite losses would be accepted"
            )
        while spans := self.between(finest):
            best = self.best
            for span in spans:
                self.attempt(span, measure)
            new = self.best
            if self.gain(new, best) <= self.noise_between(new, best):
                return

    def between(self, finest: float) -> list[int]:
        """The geometric means of the best span and each of its neighbours, where those lie far enough apart."""
        spans, best = sorted(self.losses), self.best
        place = spans.index(best)
        neighbours = [*spans[max(place - 1, 0) : place], *spans[place + 1 : place + 2]]
        apart = [other for other in neighbours if max(best, other) / min(best, other) > finest**2]
        return sorted({round(math.sqrt(best * other)) for other in apart} - set(spans))

    def point(self) -> Point:
        """What was found; infinitely bad spans are not in it, since JSON has no infinity."""
        best, spans = self.best, sorted(self.losses)
        place = low = high = spans.index(best)
        while low > 0 and self._as_good(spans[low - 1]):
            low -= 1
        while high + 1 < len(spans) and self._as_good(spans[high + 1]):
            high += 1
        tried = [
            Tried(
                span=span,
                loss=self.mean(span),
                error=standard_error(self.losses[span], self.losses[best]),
                contexts=len(self.losses[span]),
            )
            for span in spans
            if math.isfinite(self.mean(span))
        ]
        return Point(
            length=self.length,
            span=best,
            low=spans[low],
            high=spans[high],
            mapped=self.mapped or best < self.highest,
            edge=self.mapped and best == self.highest,
            noise=max(self.noise_between(spans[near], best) for near in range(max(place - 1, 0), place + 1)),
            tried=tuple(tried),
        )

    def _as_good(self, span: int) -> bool:
        return self.gain(self.best, span) <= self.noise_between(self.best, span)

    def attempt(self, span: int, measure: Measure) -> None:
        """Try a span, unless it was tried before."""
        if span not in self.losses:
            self.losses[span] = tuple(measure(span))


def ladder(highest: int, lowest: int, ratio: float) -> list[int]:
    """Whole numbers from the highest down to the lowest, each `ratio` times the next."""
    steps = max(0, math.floor(math.log(highest / min(lowest, highest)) / math.log(ratio) + 1e-9))
    return list(dict.fromkeys(round(highest / ratio**step) for step in range(steps + 1)))


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; infinite where a value is not finite.

    A results file does not tell infinity from NaN, so a run that goes on must not either.
    """
    return sum(values) / len(values) if all(map(math.isfinite, values)) else math.inf


def standard_error(values: Sequence[float], others: Sequence[float]) -> float | None:
    """The standard error of the mean difference of paired values; None for a single pair, or one that is not finite."""
    differences = [a - b for a, b in zip(values, others, strict=True)]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return None
    middle = mean(differences)
    return math.sqrt(sum((d - middle) ** 2 for d in differences) / (len(differences) - 1) / len(differences))
