"""How sure a figure is: bootstrap intervals of figures and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import torch
from torch import Tensor

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Record, Task, registry

Key = tuple[int, tuple[tuple[str, Fact], ...], str]
"""What tells a sample from the others of its task and length: trial, facts, hash of the prompt."""

CONFIDENCE = 0.95
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764)
"""Quantiles of Student's t for that, with 1, 2, 3 and 4 degrees of freedom."""
RESAMPLES = 2000
SEED = 0

ENOUGH_CONTEXTS = 6
"""By chance alone, n contexts all point the same way in two of 2^n experiments, and no interval then holds zero: with
fewer than six that is more than one in twenty."""

FEWEST_OF_A_SUITE = 3
"""Contexts of each of several tasks that are put together; the draws of two are too much alike."""


@dataclass(frozen=True)
class Scores:
    """The scores of one task under one method at one length.

    Attributes:
        task: the class that makes a figure of their mean.
        values: of each sample.
    """

    task: type[Task]
    values: Mapping[Key, float]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Scores:
        """The scores of some records, all of one task, method and length.

        Raises:
            ConfigError: one sample is there twice.
        """
        values: dict[Key, float] = {}
        kind = ""
        for record in records:
            key = record.trial, tuple(sorted(record.facts.items())), record.prompt_sha256
            if key in values:
                raise ConfigError(
                    f"results: task {record.name!r} under {record.setting.label!r} at {record.length} tokens has two "
                    f"scores of one sample (trial {record.trial}, facts {dict(record.facts)}); one would be accepted"
                )
            kind, values[key] = record.kind, record.score
        return cls(registry.get(kind), values)

    @property
    def contexts(self) -> int:
        """How many trials the samples come from."""
        return len({trial for trial, _, _ in self.values})

    @property
    def nonfinite(self) -> int:
        """How many scores are no finite number."""
        return sum(not math.isfinite(score) for score in self.values.values())


@dataclass(frozen=True)
class Estimate:
    """A figure, or a difference of two, with its interval.

    Attributes:
        figure: NaN or infinite where a score is.
        low: lower end of the interval; None where there is no interval: one context, or a figure that is not finite.
        high: its upper end.
        samples: how many it rests on; of a difference, pairs.
        contexts: how many trials these come from.
        enough: whether these are so many that the interval means what it says.
    """

    figure: float
    low: float | None
    high: float | None
    samples: int
    contexts: int
    enough: bool

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval, and enough contexts speak for that."""
        if self.low is None or self.high is None:
            return False
        return self.enough and (self.low > 0 or self.high < 0)


def estimate(groups: Sequence[Scores], *, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
    """The figure of a group of scores, or the mean figure of groups of several tasks, with its interval.

    The interval is the expanded percentile bootstrap's, at 95 % (Hesterberg, arXiv 1411.5279): trials are drawn, not
    samples, for samples of one trial share a context; each task draws its own. For normal scores it covers the truth in
    about 94 % of experiments with 6 contexts and more, 93 % with 5, 87 % with 4 and 72 % with 3, where it goes from the
    worst draw to the best and cannot go further.

    Args:
        groups: one for each task.
        resamples: how often trials are drawn.
        seed: of the draws, so that a report can be made again.
    """
    return _bootstrap([_Stratum(group.task, tuple(group.values), (group.values,)) for group in groups], resamples, seed)


def difference(
    groups: Sequence[Scores], others: Sequence[Scores], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate | None:
    """The figure of one method less that of another, with its interval, over the samples that both have.

    Both are drawn by the same trials, so what makes a trial hard for both cancels out.

    Args:
        groups: of the one method, one for each task.
        others: of the other, for the same tasks.
        resamples: as in `estimate`, like seed.

    Returns:
        None where the two have no sample of a task in common.
    """
    strata = []
    for group, other in zip(groups, others, strict=True):
        both = tuple(key for key in group.values if key in other.values)
        if not both:
            return None
        strata.append(_Stratum(group.task, both, (group.values, other.values)))
    return _bootstrap(strata, resamples, seed)


def effective_length(means: Mapping[int, float], threshold: float) -> int | None:
    """The longest length whose mean is above the threshold, or None where none is."""
    return max((length for length, mean in means.items() if mean > threshold), default=None)


@dataclass(frozen=True)
class _Stratum:
    """Samples of one task, and their scores under one method, or under two that are compared."""

    task: type[Task]
    keys: tuple[Key, ...]
    methods: tuple[Mapping[Key, float], ...]

    @property
    def trials(self) -> list[int]:
        return list(dict.fromkeys(trial for trial, _, _ in self.keys))

    def figure(self) -> float:
        means = [sum(scores[key] for key in self.keys) / len(self.keys) for scores in self.methods]
        first, *rest = (_figure(self.task, mean) for mean in means)
        return first - sum(rest)

    def resampled(self, resamples: int, seed: int) -> Tensor:
        """The figure, or the difference, of each draw."""
        index = {trial: number for number, trial in enumerate(self.trials)}
        cluster = torch.tensor([index[trial] for trial, _, _ in self.keys])
        scores = torch.tensor([[method[key] for method in self.methods] for key in self.keys], dtype=torch.float64)
        # The samples of a trial stand for themselves: a trial with more of them weighs more, as it does in the figure.
        counted = torch.cat([scores, torch.ones(len(scores), 1, dtype=torch.float64)], dim=1)
        sums = torch.zeros(len(index), counted.shape[1], dtype=torch.float64).index_add_(0, cluster, counted)
        drawn = _draws(len(index), resamples, seed) @ sums
        first, *rest = (_figures(self.task, means) for means in (drawn[:, :-1] / drawn[:, -1:]).unbind(1))
        return first - sum(rest)


@lru_cache(maxsize=16)
def _draws(trials: int, resamples: int, seed: int) -> Tensor:
    """How often each trial is drawn in each resample, of shape (resamples, trials)."""
    drawn = torch.randint(trials, (resamples, trials), generator=torch.Generator().manual_seed(seed))
    return torch.zeros(resamples, trials, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(drawn.shape).double())


def _bootstrap(strata: Sequence[_Stratum], resamples: int, seed: int) -> Estimate:
    figure = sum(stratum.figure() for stratum in strata) / len(strata)
    samples, contexts = sum(len(stratum.keys) for stratum in strata), [len(stratum.trials) for stratum in strata]
    low = high = None
    if math.isfinite(figure) and min(contexts) > 1:
        with _one_thread():
            # Tasks have trials of their own, and so draws of their own.
            each = [stratum.resampled(resamples, seed + number) for number, stratum in enumerate(strata)]
            drawn = torch.stack(each).mean(0).sort().values
        if not drawn.isnan().any():
            tail = _tail(contexts) * (resamples - 1)
            low, high = float(drawn[math.floor(tail)]), float(drawn[resamples - 1 - math.floor(tail)])
    freedom, fewest = sum(contexts) - len(contexts), 1 if len(contexts) == 1 else FEWEST_OF_A_SUITE
    enough = freedom >= ENOUGH_CONTEXTS - 1 and min(contexts) >= fewest
    return Estimate(figure, low, high, samples, sum(contexts), enough)


def _tail(contexts: Sequence[int]) -> float:
    """The share of draws beyond each end of the interval.

    Draws of n trials vary less than such experiments, by (n - 1) / n, and the quantile is Student's, not the normal's.
    """
    widest = max(n / (n - 1) for n in contexts)
    return NormalDist().cdf(-math.sqrt(widest) * _student(sum(contexts) - len(contexts)))


def _student(freedom: int) -> float:
    """The quantile of Student's t that leaves 2.5 % above it, expanded about the normal's: off by 0.003 at most."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


@contextmanager
def _one_thread() -> Iterator[None]:
    """A report has a thousand products too small to share: on a busy machine, waiting for threads takes far longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _figure(task: type[Task], mean: float) -> float:
    return task.figure(mean) if math.isfinite(mean) else mean


def _figures(task: type[Task], means: Tensor) -> Tensor:
    # A task may override it by a static method, which has no function underneath.
    if getattr(task.figure, "__func__", None) is Task.figure.__func__:  # type: ignore[attr-defined]
        return means
    return torch.tensor([_figure(task, mean) for mean in means.tolist()], dtype=torch.float64)
