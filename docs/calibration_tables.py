"""The tables of docs/calibration.md: the profile that ships, and what `make ablation` wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from docs.study_tables import difference, table
from lampe.evaluation import Record
from lampe.evaluation.compare import read_records
from lampe.positional import Profile

RESULTS = Path(__file__).resolve().parent.parent / "examples" / "ablation" / "results"
SUMMARY = RESULTS / "summary.json"
PROFILE = "smollm2-135m-instruct"
REFIT = str(RESULTS.parents[1] / "calibration" / "results" / "refit.json")


def points(name: str = PROFILE) -> str:
    """A row for every length that a profile was fitted to."""
    profile = Profile.load(name)
    assert profile.measured is not None
    lines = ["| length | best span | as good within the noise | spans tried | the curve |", "|---|---|---|---|---|"]
    for point in profile.measured.points:
        best = f"{point.span:,}" if point.mapped else "true positions"
        curve = min(profile.span(point.length), point.length - 1)
        lines.append(f"| {point.length:,} | {best} | {point.low:,} to {point.high:,} | {_losses(point)} | {curve:,} |")
    return "\n".join(lines)


def _losses(point: Any) -> str:
    """Every span with its loss, from the largest on."""
    return ", ".join(f"{tried.span:,}: {tried.loss:.3f}" for tried in reversed(point.tried))


def curve(name: str = PROFILE) -> str:
    """The parameters in a line."""
    profile = Profile.load(name)
    assert profile.measured is not None
    return f"{profile.formula()}; it is off the best spans by {profile.measured.fit_error:.1%}."


def found() -> str:
    """Of how many hidden numbers the most likely tokens were the right ones."""
    counts: dict[tuple[str, int], list[bool]] = {}
    for record in _of_keys():
        right = (record.output or "").strip() == record.references[0]
        counts.setdefault((record.setting.label, record.length), []).append(right)
    return _counted("found", counts)


def less() -> str:
    """In how many contexts the loss of the hidden number is lower than under the first method."""
    losses = {(record.setting.label, record.length, record.trial): record.score for record in _of_keys()}
    first = next(label for label, _, _ in losses)
    counts: dict[tuple[str, int], list[bool]] = {}
    for (label, length, trial), loss in losses.items():
        if label != first and (first, length, trial) in losses:
            counts.setdefault((label, length), []).append(loss < losses[first, length, trial])
    return _counted("less loss than calibrated", counts)


def _of_keys() -> list[Record]:
    return [record for record in read_records(RESULTS / "results.jsonl") if record.kind == "passkey-loss"]


def _counted(title: str, counts: dict[tuple[str, int], list[bool]]) -> str:
    """Methods down, lengths across, and all lengths together."""
    lengths = sorted({length for _, length in counts})
    header = [title, *(f"{length:,}" for length in lengths), "together"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for method in dict.fromkeys(method for method, _ in counts):
        cells = [counts.get((method, length), []) for length in lengths]
        cells.append([right for cell in cells for right in cell])
        lines.append(f"| {method} | {' | '.join(f'{sum(c)} of {len(c)}' if c else '-' for c in cells)} |")
    return "\n".join(lines)


GENERATED: dict[str, Callable[[], str]] = {
    "calibration_points": points,
    "calibration_curve": curve,
    "calibration_refit_points": partial(points, REFIT),
    "calibration_refit_curve": partial(curve, REFIT),
    "ablation_perplexity": partial(table, "perplexity", SUMMARY),
    "ablation_perplexity_differences": partial(table, "perplexity", SUMMARY, difference),
    "ablation_passkey_loss": partial(table, "passkey-loss", SUMMARY),
    "ablation_passkey_loss_differences": partial(table, "passkey-loss", SUMMARY, difference),
    "ablation_found": found,
    "ablation_less": less,
}
