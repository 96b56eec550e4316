"""`lampe calibrate`: what it prints and writes, how it is stopped and goes on, and who takes the profile."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from lampe import LLM, calibration
from lampe.calibration.meter import Meter, OutOfTimeError, Variant
from lampe.checkpoint import fingerprint
from lampe.cli.app import app
from lampe.cli.calibrate import read_time
from lampe.errors import ConfigError
from lampe.evaluation.budget import Budget
from lampe.positional import LaMPE, Profile
from lampe.positional.profile import BESIDE
from tests.cli.chat_model import Lampe
from tests.evaluation import tiny

ROOT = Path(__file__).resolve().parents[2]
FEW = ("--lengths", "100,150,200,300", "--last", 20, "--head", 8, "--tail", 8, "--dtype", "float32", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a trained window of 128 tokens."""
    folder = tmp_path_factory.mktemp("calibrated") / "tiny"
    folder.mkdir()
    tiny.checkpoint(folder)
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "river.txt"
    path.write_text(tiny.prose(60), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _one_thread(_threads: None) -> None:
    """Losses made with another number of threads are refused."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def undisturbed(model: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("undisturbed")
    torch.set_num_threads(1)
    result = CliRunner().invoke(app, list(map(str, ["calibrate", model, *FEW, "--text", text, "--out", out])))
    assert result.exit_code == 0, result.output
    return out


def command(model: Path, text: Path, out: Path, *more: str) -> list[str]:
    options = [*map(str, FEW), "--text", str(text), "--out", str(out), *more]
    return [sys.executable, "-m", "lampe", "calibrate", str(model), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_the_profile_holds_what_the_model_says(undisturbed: Path, model: Path, text: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} >= {"profile.json", "results.jsonl", "spans.png", "curve.png"}
    profile = Profile.load(str(undisturbed / "profile.json"))
    measured = profile.measured
    assert measured is not None
    assert (measured.model, measured.window, measured.fingerprint) == ("tiny", 128, fingerprint(model))
    assert measured.objective == {"kind": "perplexity", "tokens": 20, "places": 3}
    assert [(source.name, source.tokens) for source in measured.texts] == [("river.txt", len(text.read_bytes()))]
    assert [point.length for point in measured.points] == [100, 150, 200, 300]
    assert (profile.head, profile.tail) == (8, 8)
    assert profile.temperature == pytest.approx(1.069315, abs=1e-6)
    llm = LLM.load(model, dtype="float32", device="cpu")
    ids = llm.tokenizer.encode(text.read_text(), add_special=False)
    records = [json.loads(line) for line in (undisturbed / "results.jsonl").read_text().splitlines()]
    for point in measured.points:
        assert point.span == min(point.tried, key=lambda tried: (tried.loss, -tried.span)).span
        for tried in point.tried[:2]:
            method = llm.with_positional(LaMPE(head=8, tail=8, span=tried.span))
            ends = [r["facts"]["end"] for r in records if r["length"] == point.length][:3]
            losses = []
            for end in ends:
                context = torch.tensor([ids[end - point.length : end]])
                logits = method.logits(context, last=21)[0, :-1]
                losses.append(float(F.cross_entropy(logits, context[0, -20:])))
            assert tried.loss == pytest.approx(sum(losses) / 3, rel=1e-5)
            assert tried.contexts == 3
        edge = LaMPE(head=8, tail=8, span=point.tried[-1].span).bind(llm.config)
        assert edge.largest_position(point.length) < 128
        if point.length > 128:
            larger = LaMPE(head=8, tail=8, span=point.tried[-1].span + 1).bind(llm.config)
            assert larger.largest_position(point.length) >= 128
    fitted = calibration.fit_curve(measured.points, 128, 128)
    assert measured.fit_error == pytest.approx(fitted.error, abs=0.1)


@pytest.mark.slow
def test_a_finished_run_is_repeated_from_what_it_kept(
    lampe: Lampe, undisturbed: Path, model: Path, text: Path, computed: list[int]
) -> None:
    before = {name: (undisturbed / name).read_bytes() for name in ("profile.json", "results.jsonl")}
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", undisturbed, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads(before["profile.json"])
    assert computed == []
    assert {name: (undisturbed / name).read_bytes() for name in before} == before
    printed = lampe("calibrate", model, *FEW, "--text", text, "--out", undisturbed)
    assert "best span" in printed.stdout
    assert "f(N) = " in printed.stdout
    assert f"use it as -p lampe:profile={undisturbed / 'profile.json'}" in printed.stdout.replace("\n", " ")


@pytest.mark.slow
def test_the_profile_is_installed_found_and_refused(
    lampe: Lampe, undisturbed: Path, text: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    tiny.checkpoint(folder)
    own = tmp_path / "own"
    result = lampe(
        "calibrate",
        folder,
        *("--lengths", "200,300", "--places", 1, "--last", 20, "--head", 8, "--tail", 8),
        "--text",
        text,
        "--out",
        own,
        "--install",
    )
    assert result.exit_code == 0, result.stderr
    assert (folder / BESIDE).read_bytes() == (own / "profile.json").read_bytes()
    found = LLM.load(folder, positional="lampe").positional
    assert found.profile == Profile.load(str(own / "profile.json"))
    other = tmp_path / "other"
    other.mkdir()
    tiny.checkpoint(other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 2 * config["rms_norm_eps"]}))
    refused = lampe("generate", other, "hello", "-p", f"lampe:profile={own / 'profile.json'}")
    assert refused.exit_code == 2
    assert "it was measured on other weights, those of tiny" in refused.stderr
    forced = lampe(
        "generate", other, "hello", "-n", 1, "-p", f"lampe:profile={own / 'profile.json'}:force_profile=true"
    )
    assert forced.exit_code == 0, forced.stderr


@pytest.mark.slow
def test_retrieval_and_parts_are_searched_too(lampe: Lampe, model: Path, text: Path, tmp_path: Path) -> None:
    result = lampe(
        *("calibrate", model, "--objective", "retrieval", "--lengths", "200,300", "--places", 1, "--keys", 2),
        *(
            "--text",
            text,
            "--head",
            8,
            "--tail",
            8,
            "--search",
            "tail,temperature",
            "--out",
            tmp_path / "out",
            "--json",
        ),
    )
    assert result.exit_code == 0, result.stderr
    profile = Profile.model_validate_json(result.stdout)
    assert profile.measured is not None
    assert profile.measured.objective["kind"] == "passkey-loss"
    records = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    tried = {(r["setting"]["positional"]["tail"], r["setting"]["positional"]["temperature"]) for r in records}
    assert {tail for tail, _ in tried} == {0, 3, 8, 16}
    assert {1.0, 1.035, 1.1} <= {temperature for _, temperature in tried}
    assert profile.tail in {0, 3, 8, 16}
    assert all(tried.contexts == 2 for point in profile.measured.points for tried in point.tried)


@pytest.mark.slow
def test_parts_without_time_for_their_spans_are_taken_back(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("lampe.calibration.run.search_parts", lambda parts, *_: replace(parts, temperature=1.1))
    losses = Meter.losses

    def only_as_before(self: Meter, length: int, variant: Variant) -> tuple[float, ...]:
        if variant.parts.temperature == 1.1:
            raise OutOfTimeError
        return losses(self, length, variant)

    monkeypatch.setattr(Meter, "losses", only_as_before)
    found = lampe(*("calibrate", model, *FEW, "--text", text, "--search", "temperature", "--out", tmp_path, "--json"))
    assert found.exit_code == 0, found.stderr
    profile = Profile.model_validate_json(found.stdout)
    assert profile.temperature == pytest.approx(1.069315, abs=1e-6)
    assert profile.measured is not None
    assert profile.measured.left_out == ("the spans under head 8, tail 8, A 1.1",)


@pytest.mark.slow
def test_a_budget_does_what_fits_and_says_what_it_left_out(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch
) -> None:
    out = tmp_path / "out"
    admits = Budget.admits

    def only_short(self: Budget, items) -> bool:
        kept = list(items)
        return all(work.tokens < 250 for _, work in kept) and admits(self, kept)

    monkeypatch.setattr(Budget, "admits", only_short)
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", out, "--budget", "20m")
    assert result.exit_code == 0, result.stderr
    assert "no time for the spans at 300 tokens; the same command goes on" in result.stderr.replace("\n", " ")
    profile = Profile.load(str(out / "profile.json"))
    assert [point.length for point in profile.measured.points] == [100, 150, 200]
    assert profile.measured.left_out == ("the spans at 300 tokens",)
    nothing = lampe("calibrate", model, *FEW, "--text", text, "--out", tmp_path / "none", "--budget", "0s")
    assert nothing.exit_code == 2
    assert "no curve: mapping positions helps at none of the lengths that were measured (none)" in nothing.stderr


def test_ctrl_c_keeps_what_there_is(lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"

    def interrupted(*arguments, **options):
        started, count = options.pop("started"), 0

        def stop(step):
            nonlocal count
            count += 1
            if count == 5:
                raise KeyboardInterrupt
            started(step)

        return calibration.calibrate(*arguments, started=stop, **options)

    monkeypatch.setattr("lampe.cli.calibrate.calibrate", interrupted)
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", out)
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr.replace("\n", " ")
    assert len((out / "results.jsonl").read_text().splitlines()) == 4
    assert not (out / "profile.json").exists()


def say(monkeypatch: pytest.MonkeyPatch, loss: Callable[[int, Variant], float]) -> list[Variant]:
    """Losses of three contexts by a formula of length and variant; which variants were asked for."""
    asked: list[Variant] = []

    def losses(self: Meter, length: int, variant: Variant) -> tuple[float, ...]:
        asked.append(variant)
        return (loss(length, variant),) * 3

    monkeypatch.setattr(Meter, "losses", losses)
    return asked


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_no_numbers_are_left_out_of_the_profile(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch, bad: float
) -> None:
    say(monkeypatch, lambda _, variant: bad if not 30 < variant.span < 90 else abs(variant.span - 60) / 10)
    out = tmp_path / "out"
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", out)
    assert result.exit_code == 0, result.stderr
    measured = Profile.load(str(out / "profile.json")).measured
    assert measured is not None
    assert all(50 < point.span < 70 and 30 < point.low <= point.high < 90 for point in measured.points)
    assert all(30 < tried.span < 90 for point in measured.points for tried in point.tried)
    assert (out / "spans.png").exists()


def test_a_length_without_a_finite_loss_is_refused_and_the_old_profile_kept(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch
) -> None:
    say(monkeypatch, lambda length, variant: math.nan if length == 200 else 100 / variant.span)
    (tmp_path / "profile.json").write_text("old")
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", tmp_path)
    assert result.exit_code == 2
    assert "length = 200: none of the" in result.stderr
    assert (tmp_path / "profile.json").read_text() == "old"


def test_a_profile_that_would_not_load_again_is_not_written(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch
) -> None:
    broken = Profile.default(128).model_copy(update={"l_max": math.nan})
    monkeypatch.setattr("lampe.cli.calibrate.calibrate", lambda *_, **__: calibration.Calibrated(broken))
    (tmp_path / "profile.json").write_text("old")
    result = lampe("calibrate", model, *FEW, "--text", text, "--out", tmp_path, "--install")
    assert result.exit_code == 2
    assert "was not written, since it would not load again: l_max = None: input should be a valid number" in (
        result.stderr.replace("\n", " ")
    )
    assert (tmp_path / "profile.json").read_text() == "old"
    assert not (model / BESIDE).exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--lengths", "140", "--tail", 100),
            "no span of 16 or more keeps 1024 tokens inside the trained window of 128",
        ),
        (("--lengths", "100,300", "--tail", 110), "no span of 16 or more keeps 300 tokens inside the trained window"),
        (("--lengths", "140", "--lowest", 112), "no span of 112 or more keeps 1024 tokens inside the trained window"),
        # Spans of 10 to 111 have room.
        (("--lengths", "100", "--lowest", 1), "lowest = 1: lampe: span = 1 is too coarse for 1024 tokens"),
    ],
)
def test_parts_without_room_are_refused_before_anything_is_measured(
    lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch, options, sentence: str
) -> None:
    asked = say(monkeypatch, lambda _, variant: 100 / variant.span)
    result = lampe("calibrate", model, *FEW, *options, "--text", text, "--out", tmp_path)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert asked == []


def test_parts_without_room_are_not_taken(lampe: Lampe, model: Path, text: Path, tmp_path: Path, monkeypatch) -> None:
    asked = say(monkeypatch, lambda _, variant: 100 / variant.span - variant.parts.head / 10)
    # At 1024 tokens heads of 4 and 8 leave room for 116 and 111, those of 16 and 32 for 104 and 87.
    options = ("--lengths", "140,150", "--lowest", 105, "--search", "head")
    result = lampe("calibrate", model, *FEW, *options, "--text", text, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    profile = Profile.model_validate_json(result.stdout)
    assert profile.head == 8
    assert {variant.parts.head for variant in asked} == {4, 8}


@pytest.mark.slow
def test_losses_that_were_measured_otherwise_are_refused(
    lampe: Lampe, undisturbed: Path, model: Path, text: Path
) -> None:
    before = (undisturbed / "results.jsonl").read_bytes()
    options = [value if value != 20 else 24 for value in FEW]
    result = lampe("calibrate", model, *options, "--text", text, "--out", undisturbed)
    assert result.exit_code == 2
    assert "holds losses that were measured otherwise: tokens was 20 and is 24" in result.stderr
    assert (undisturbed / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--budget", "soon"],
            "--budget soon: expected a number of seconds, minutes or hours, such as 90s, 20m or 1.5h",
        ),
        (["--objective", "beauty"], "calibrate: objective = 'beauty': input should be 'perplexity' or 'retrieval'"),
        (["--search", "heads"], "calibrate: search.0 = 'heads': input should be 'head', 'tail' or 'temperature'"),
        (["--lengths", "12k"], "lengths = '12k': expected whole numbers of tokens"),
        (["--lengths", "1000000"], "is too short"),
        (["--places", "0"], "calibrate: places = 0: input should be greater than or equal to 1"),
        (
            ["--head", "120", "--last", "20", "--lengths", "300"],
            "no span of 16 or more keeps 300 tokens inside the trained window of 128",
        ),
        (["--text", "nowhere.txt", "--lengths", "1000"], "text nowhere.txt: there is no such file or folder"),
        (["--device", "tpu"], "device = 'tpu'"),
        (["--temperature", "inf"], "calibrate: temperature = inf: input should be a finite number"),
        (["--finest", "inf"], "calibrate: finest = inf: input should be a finite number"),
    ],
)
def test_bad_input_gets_one_sentence(lampe: Lampe, model: Path, text: Path, tmp_path: Path, options, sentence) -> None:
    given = [] if "--text" in options else ["--text", text]
    result = lampe("calibrate", model, "--out", tmp_path / "out", *given, *options)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "profile.json").exists()


def test_times_are_read() -> None:
    assert [read_time(text) for text in ("90s", "20m", "1.5h")] == [90, 1200, 5400]
    for text in ("", "20", "m", "-3m", "1e3s"):
        with pytest.raises(ConfigError, match="expected a number of seconds"):
            read_time(text)


@pytest.mark.slow
def test_kills_in_the_middle_end_with_the_same_profile(model: Path, text: Path, tmp_path: Path) -> None:
    undisturbed, out, draws, kills = tmp_path / "undisturbed", tmp_path / "out", random.Random(7), 0
    subprocess.run(command(model, text, undisturbed), env=environment(), check=True, capture_output=True)
    wanted = len((undisturbed / "results.jsonl").read_bytes())
    while True:
        process = subprocess.Popen(
            command(model, text, out), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        results = out / "results.jsonl"
        began = results.stat().st_size if results.exists() else 0
        grow = draws.randrange(wanted // 4, wanted // 2)
        while process.poll() is None and (results.stat().st_size if results.exists() else 0) < began + grow:
            time.sleep(0.002)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 40
    assert kills >= 2
    for name in ("results.jsonl", "profile.json"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes()
