from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from examples.ablation.ideas import registered
from lampe.checkpoint import fingerprint
from lampe.evaluation.compare import read_experiment, read_records
from lampe.llm import LLM
from lampe.positional import Profile
from lampe.positional.profile import shipped

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "ablation"
NAME = "smollm2-135m-instruct"


def test_the_profile_that_ships_was_measured_past_the_window():
    profile = Profile.load(NAME)
    assert shipped()[NAME] == profile
    measured = profile.measured
    assert measured.window == 8192
    assert {point.length for point in measured.points} >= {8192, 12288, 16384}
    for point in measured.points:
        losses = {tried.span: tried.loss for tried in point.tried}
        assert point.span == min(losses, key=lambda span: (losses[span], -span))
        assert point.low <= point.span <= point.high
        assert 0.5 * point.low <= min(profile.span(point.length), point.length - 1) <= 2 * point.high


RESULTS = FOLDER.parent / "calibration" / "results"


@pytest.mark.parametrize(
    ("profile", "files"),
    [(NAME, ["retrieval.jsonl"]), (str(RESULTS / "refit.json"), ["retrieval.jsonl", "later.jsonl"])],
)
def test_its_points_are_the_losses_that_ship(profile, files):
    points = {point.length: point for point in Profile.load(profile).measured.points}
    losses: dict[tuple[int, int], list[float]] = {}
    for record in itertools.chain.from_iterable(read_records(RESULTS / name) for name in files):
        losses.setdefault((record.length, record.setting.positional["span"]), []).append(record.score)
    tried = {(length, item.span): item for length, point in points.items() for item in point.tried}
    assert losses.keys() == tried.keys()
    for key, item in tried.items():
        assert item.loss == pytest.approx(sum(losses[key]) / len(losses[key]))
        assert item.contexts == len(losses[key]) == 3


@pytest.mark.slow
def test_it_is_found_by_the_weights_of_its_model(smollm2):
    assert Profile.load(NAME).measured.fingerprint == fingerprint(smollm2)
    method = LLM.load(smollm2, positional="lampe").positional
    assert method.profile == Profile.load(NAME)
    assert method.plan(16384).largest_position() < 8192


def test_the_ablations_that_ship_are_of_the_experiment_that_ships():
    with registered():
        experiment = read_experiment(FOLDER / "ablation.yaml")
    assert experiment.reference == "LaMPE, calibrated"
    tasks = {task.name: task.config.model_dump(mode="json") for task in (entry.create() for entry in experiment.tasks)}
    records = list(read_records(FOLDER / "results" / "results.jsonl"))
    assert {record.setting.label for record in records} == set(experiment.methods)
    prompts = {}
    for record in records:
        assert record.task == tasks[record.name]
        assert record.tokens == record.length
        sample = (record.name, record.length, record.trial, tuple(sorted(record.facts.items())))
        assert prompts.setdefault(sample, record.prompt_sha256) == record.prompt_sha256
        if "profile" in record.setting.positional and record.setting.positional["profile"] == NAME:
            curve = Profile.load(NAME).model_dump(mode="json", exclude={"measured"})
            assert record.setting.positional["curve"] == curve
