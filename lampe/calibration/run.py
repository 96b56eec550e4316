"""Calibrates a model: measures, fits, and makes the profile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from lampe.calibration.fit import fit_curve
from lampe.calibration.meter import Meter, OutOfTimeError, Step, Variant
from lampe.calibration.parts import Parts, search_parts
from lampe.calibration.search import Scan
from lampe.calibration.settings import Settings
from lampe.errors import ConfigError, PlanError
from lampe.evaluation import Budget
from lampe.evaluation.compare import Store
from lampe.evaluation.runner import lampe_version
from lampe.evaluation.texts import documents
from lampe.llm import LLM
from lampe.positional import LaMPE, Profile
from lampe.positional.base import GENTLE_TEMPERATURE, longest
from lampe.positional.profile import Measured, SourceText

FARTHEST = 8
"""l_max keeps positions inside the trained window for inputs of up to so many windows."""


@dataclass
class Calibrated:
    """What a calibration found.

    Attributes:
        profile: what to give to `LaMPE(profile=...)` once it is in a file.
        left_out: what did not fit into the time, in words.
    """

    profile: Profile
    left_out: list[str] = field(default_factory=list)


def calibrate(
    llm: LLM,
    settings: Settings,
    store: Store,
    budget: Budget,
    *,
    name: str,
    stage: Callable[[str], None] | None = None,
    started: Callable[[Step], None] | None = None,
) -> Calibrated:
    """Measure what the store does not hold, and fit the curve.

    Everything that is measured follows from the settings, the model and earlier losses, so a run that was killed and
    started again ends with the profile of an undisturbed one.

    Args:
        llm: the model, read from a checkpoint.
        settings: what to measure.
        store: open; every loss is added to it as it is made.
        budget: ends the search where its time does.
        name: of the model, in the profile.
        stage: called with what begins, in words.
        started: called before each measurement.

    Raises:
        ConfigError: a setting or a text does not do, no span of a length has a finite loss, or too little was measured
            for a curve.
        MissingExtraError: scipy is not installed.
    """
    return _Calibration(llm, settings, store, budget, name, stage or (lambda _: None), started).run()


def default_lengths(window: int) -> tuple[int, ...]:
    """1/2, 1, 3/2, 2 and 3 times a trained window, in tokens."""
    return (window // 2, window, window * 3 // 2, window * 2, window * 3)


class _Calibration:
    def __init__(
        self,
        llm: LLM,
        settings: Settings,
        store: Store,
        budget: Budget,
        name: str,
        stage: Callable[[str], None],
        started: Callable[[Step], None] | None,
    ):
        origin = llm.config.rope.origin
        if llm.tokenizer is None or origin is None or origin.fingerprint is None:
            raise ConfigError("calibration needs a model that was read from a checkpoint with weights and a tokenizer")
        self.settings, self.llm, self.name, self.stage = settings, llm, name, stage
        self.fingerprint, self.tokenizer = origin.fingerprint, llm.tokenizer
        self.window = LaMPE(span=1).bind(llm.config).window
        head = max(1, self.window // 16) if settings.head is None else settings.head
        self.parts = Parts(head, settings.tail, settings.temperature or GENTLE_TEMPERATURE)
        self.lowest = settings.lowest or max(1, self.window // 8)
        self.lengths = settings.lengths or default_lengths(self.window)
        self.left_out: list[str] = []
        samples = list(settings.task().samples(self.tokenizer, self.lengths))
        self.meter = Meter(llm, samples, store, budget, model=name, started=started)
        # A walk that ends as soon as it can, and one round of narrowing.
        self.meter.expected = dict.fromkeys(self.lengths, 1 + settings.patience + 2)

    def run(self) -> Calibrated:
        # What cannot end in a curve is refused before hours of measuring.
        for length in self.lengths:
            self._scan(length)
        self._limit()
        scans = [scan for length in self.lengths if (scan := self._search(length))]
        if self.settings.search:
            scans = self._search_parts(scans)
        points = [scan.point() for scan in scans]
        self.stage("fitting the curve")
        fit = fit_curve(points, self.window, self._limit())
        measured = Measured(
            model=self.name,
            fingerprint=self.fingerprint,
            window=self.window,
            objective=self._objective(),
            texts=self._texts(),
            points=tuple(points),
            fit_error=fit.error,
            left_out=tuple(self.left_out),
            lampe=lampe_version(),
        )
        stated = {**asdict(self.parts), "measured": measured}
        return Calibrated(fit.profile.model_copy(update=stated), self.left_out)

    def _search(self, length: int) -> Scan | None:
        """The spans of one length; None where the time does not suffice for a coarse walk."""
        scan = self._scan(length)
        self.stage(f"{length:,} tokens, a coarse walk")
        try:
            # The least that a walk takes: the best span, and those that are worse. A part of one would tell nothing.
            if not self.meter.fits(length, spans=1 + self.settings.patience):
                raise OutOfTimeError
            scan.walk(
                self._measure(length),
                lowest=self.lowest,
                ratio=self.settings.ratio,
                patience=self.settings.patience,
            )
        except OutOfTimeError:
            self.left_out.append(f"the spans at {length:,} tokens")
            self.meter.expected[length] = 0
            return None
        return self._narrow(scan)

    def _narrow(self, scan: Scan) -> Scan:
        self.stage(f"{scan.length:,} tokens, narrowing around {scan.best:,}")
        try:
            scan.narrow(self._measure(scan.length), finest=self.settings.finest)
        except OutOfTimeError:
            self.left_out.append(f"narrowing at {scan.length:,} tokens")
        self.meter.expected[scan.length] = 0
        return scan

    def _search_parts(self, scans: list[Scan]) -> list[Scan]:
        """Look for better parts at the best spans; where there are, the spans under them."""
        mapped = [scan for scan in scans if scan.mapped or scan.best < scan.highest]
        if not mapped:
            return scans

        def losses(parts: Parts) -> list[float]:
            if not self._has_room(parts, mapped):
                return [math.inf for scan in mapped for _ in scan.losses[scan.best]]
            return [
                loss
                for scan in mapped
                for loss in self._measure(scan.length, parts)(min(scan.best, self._highest(scan.length, parts)))
            ]

        before = self.parts
        for part in self.settings.search:
            self.stage(f"looking for the {part}")
            try:
                self.parts = search_parts(self.parts, [part], self.window, losses, self.settings.noise)
            except OutOfTimeError:
                self.left_out.append(f"the {part}")
        if self.parts == before:
            return scans
        try:
            again = [self._around(scan) for scan in scans]
        except OutOfTimeError:
            # Spans and parts of a profile belong together.
            self.left_out.append(f"the spans under {self.parts}")
            self.parts = before
            return scans
        return [self._narrow(scan) for scan in again]

    def _around(self, scan: Scan) -> Scan:
        """A scan under the parts that were found: the best span so far and its neighbours on the coarse ladder."""
        again = self._scan(scan.length)
        self.stage(f"{scan.length:,} tokens, again with {self.parts}")
        for span in (scan.best, round(scan.best * self.settings.ratio), round(scan.best / self.settings.ratio)):
            again.attempt(min(span, again.highest), self._measure(scan.length))
        return again

    def _scan(self, length: int) -> Scan:
        # Up to the window, the largest span leaves all positions true.
        mapped = length > self.window
        highest = self._highest(length, self.parts) if mapped else length - 1
        if highest < self.lowest:
            raise self._no_room(length)
        return Scan(length, highest, mapped, self.settings.noise)

    def _highest(self, length: int, parts: Parts) -> int:
        """The largest span whose positions stay inside the trained window; `lowest` - 1 where that does not fit."""

        def inside(span: int) -> bool:
            method = Variant(parts, span).method.bind(self.llm.config)
            try:
                return method.largest_position(length) < self.window
            except PlanError:
                return False

        # Positions grow with the span but for the coarsest ones, whose groups stretch the tail.
        above = longest(lambda more: inside(self.lowest - 1 + more), length - self.lowest)
        return length - 1 if above == math.inf else self.lowest - 1 + int(above)

    def _limit(self) -> float:
        """What l_max may be: inside the window at the longest inputs too.

        Raises:
            ConfigError: no span from the lowest on is.
        """
        length = FARTHEST * self.window
        highest = self._highest(length, self.parts)
        if highest < self.lowest:
            raise self._no_room(length)
        return float(highest)

    def _has_room(self, parts: Parts, scans: list[Scan]) -> bool:
        """Whether spans from the lowest on stay inside the window under some parts, at the longest inputs too."""
        lengths = [FARTHEST * self.window, *(scan.length for scan in scans if scan.mapped)]
        return all(self._highest(length, parts) >= self.lowest for length in lengths)

    def _no_room(self, length: int) -> ConfigError:
        try:
            Variant(self.parts, self.lowest).method.bind(self.llm.config).largest_position(length)
        except PlanError as error:
            # Larger spans may have room, so it is the lowest that is at fault.
            return ConfigError(f"lowest = {self.lowest}: {error}")
        why = f", and a curve must hold for {FARTHEST} windows" if length == FARTHEST * self.window else ""
        return ConfigError(
            f"head = {self.parts.head}, tail = {self.parts.tail}: no span of {self.lowest} or more keeps {length} "
            f"tokens inside the trained window of {self.window}{why}; a smaller head, tail or lowest would be accepted"
        )

    def _measure(self, length: int, parts: Parts | None = None) -> Callable[[int], tuple[float, ...]]:
        def measure(span: int) -> tuple[float, ...]:
            return self.meter.losses(length, Variant(parts or self.parts, span))

        return measure

    def _objective(self) -> dict[str, str | int | float | None]:
        fields = self.settings.task().config.model_dump(mode="json", exclude={"text", "label"})
        return {name: value for name, value in fields.items() if value is not None}

    def _texts(self) -> tuple[SourceText, ...]:
        return tuple(
            SourceText(
                name=name,
                sha256=sha256(text.encode()).hexdigest(),
                tokens=len(self.tokenizer.encode(text, add_special=False)),
            )
            for source in self.settings.texts
            for name, text in documents(source)
        )
