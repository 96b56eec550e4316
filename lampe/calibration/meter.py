"""Measures contexts under variants of LaMPE, and keeps every loss as it is made."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

from lampe.calibration.parts import Parts
from lampe.errors import ConfigError
from lampe.evaluation import Budget, Runner, Sample, Setting, Task, Work
from lampe.evaluation.compare import Store, make_key
from lampe.evaluation.runner import block_work
from lampe.llm import LLM
from lampe.positional import LaMPE, PositionWarning


class OutOfTimeError(Exception):
    """What was asked for does not fit into the budget any more."""


@dataclass(frozen=True)
class Variant:
    """LaMPE as one measurement has it; the span in tokens."""

    parts: Parts
    span: int

    @property
    def method(self) -> LaMPE:
        """The method itself."""
        return LaMPE(**asdict(self.parts), span=self.span)

    @property
    def label(self) -> str:
        """How records and progress call it."""
        return f"span {self.span}, {self.parts}"


@dataclass(frozen=True)
class Step:
    """One measurement that is about to be made.

    Attributes:
        left: seconds until the search ends, if the lengths to come go as they mostly do; 0 while nothing is known.
    """

    length: int
    variant: Variant
    context: int
    contexts: int
    left: float


class Meter:
    """The losses of the contexts of each length under a variant.

    Losses that the store holds are not measured again.

    Args:
        llm: the model.
        samples: all contexts.
        store: open; every loss is added to it.
        budget: learns how long things take, and refuses what does not fit.
        model: name of the checkpoint, for the records.
        started: called before each measurement.

    Raises:
        ConfigError: the store holds losses of another model, or that were made otherwise.
    """

    PACE = "lampe"
    """All variants go equally fast, as the budget sees them."""

    def __init__(
        self,
        llm: LLM,
        samples: Sequence[Sample],
        store: Store,
        budget: Budget,
        *,
        model: str,
        started: Callable[[Step], None] | None = None,
    ):
        self._llm, self._store, self.budget = llm, store, budget
        self._model, self._started = model, started
        self.expected: dict[int, int] = {}
        """How many spans are still to come at each length, as far as can be told."""
        self._contexts: dict[int, list[tuple[Sample, str, Work]]] = defaultdict(list)
        for sample in samples:
            prompt = sha256(llm.tokenizer.decode(sample.ids).encode()).hexdigest() if llm.tokenizer else ""
            self._contexts[sample.length].append((sample, prompt, block_work([sample])[0]))
        self._check(samples[0].task)

    def losses(self, length: int, variant: Variant) -> tuple[float, ...]:
        """The loss of each context of a length, in nats a token.

        Raises:
            OutOfTimeError: those that are not known yet do not fit into the budget.
        """
        keyed = [(self._key(variant, sample, prompt), sample, work) for sample, prompt, work in self._contexts[length]]
        left = [(place, *item) for place, item in enumerate(keyed) if item[0] not in self._store.records]
        if not self.budget.admits((self.PACE, work) for *_, work in left):
            raise OutOfTimeError
        if left:
            runner = self._runner(variant)
            for place, _, sample, work in left:
                if self._started:
                    self._started(Step(length, variant, place, len(keyed), self._seconds_left()))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", PositionWarning)
                    record = runner.run(sample)
                self._store.add(record)
                self.budget.observe(self.PACE, work, record.seconds)
        self.expected[length] = max(self.expected.get(length, 0) - 1, 0)
        return tuple(self._store.records[key].score for key, _, _ in keyed)

    def fits(self, length: int, *, spans: int) -> bool:
        """Whether all contexts of a length fit into the budget under so many variants, the known ones among them."""
        contexts = self._contexts[length]
        prompts = {prompt for _, prompt, _ in contexts}
        known = sum(record.prompt_sha256 in prompts for record in self._store.records.values()) // len(contexts)
        return self.budget.admits([(self.PACE, work) for _, _, work in contexts] * max(spans - known, 0))

    def _seconds_left(self) -> float:
        return self.budget.predict(
            (self.PACE, work)
            for length, spans in self.expected.items()
            for _, _, work in self._contexts[length] * spans
        )

    def _runner(self, variant: Variant) -> Runner:
        llm = self._llm.with_positional(variant.method)
        return Runner(llm, variant.label, model=self._model)

    def _key(self, variant: Variant, sample: Sample, prompt: str) -> str:
        name = sample.task.name
        return make_key(self._model, variant.label, name, sample.length, sample.trial, dict(sample.facts), prompt)

    def _check(self, task: Task) -> None:
        """Refuse to add to losses that were measured otherwise than these will be."""
        now = {**task.config.model_dump(mode="json"), **_common(self._runner(Variant(Parts(0, 0, 1.0), 2)).setting)}
        known = self._store.seconds()
        for key, record in self._store.records.items():
            then = {**record.task, **_common(record.setting)}
            differing = [
                f"{name} was {then.get(name)!r} and is {now[name]!r}" for name in now if then.get(name) != now[name]
            ]
            if differing:
                raise ConfigError(
                    f"{self._store.path} holds losses that were measured otherwise: {'; '.join(differing)}; name "
                    "another folder with --out"
                )
            if key in known:
                # How long earlier runs took is the first guess of the time.
                self.budget.observe(self.PACE, Work.between(0, record.tokens), known[key])


def _common(setting: Setting) -> dict[str, object]:
    """What all variants share."""
    return setting.model_dump(exclude={"label", "positional"})
