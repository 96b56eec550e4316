"""Where LaMPE's profile comes from, and which it refuses."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from pydantic_core import to_json

from lampe import LLM
from lampe.checkpoint import fingerprint, read_config
from lampe.config import Origin, RopeConfig
from lampe.errors import ConfigError
from lampe.positional import LaMPE, Profile, ProfileWarning
from lampe.positional import profile as profiles
from lampe.positional.profile import BESIDE, Measured, Point, SourceText, Tried
from tests.checkpoints import make

WINDOW = 128


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make("llama-tied", folder)
    return folder


def measured(folder: Path, **changes) -> Profile:
    """A profile of the checkpoint in a folder."""
    facts = {
        "model": "tiny",
        "fingerprint": fingerprint(folder),
        "window": WINDOW,
        "objective": {"kind": "perplexity", "tokens": 20},
        "texts": (SourceText(name="river.txt", sha256="0" * 64, tokens=9000),),
        "points": (
            Point(
                length=256,
                span=60,
                low=50,
                high=70,
                mapped=True,
                edge=False,
                noise=0.01,
                tried=(Tried(span=60, loss=2.5, error=0.0, contexts=3),),
            ),
        ),
        "fit_error": 0.01,
        "lampe": "0.1.0",
        **changes,
    }
    return Profile(a=0.02, b=-2.0, l_max=90.0, head=12, tail=16, temperature=1.03, measured=Measured(**facts))


def write(path: Path, profile: Profile) -> str:
    path.write_text(profile.model_dump_json())
    return str(path)


def test_a_profile_says_span_head_tail_and_temperature(checkpoint, tmp_path):
    path = write(tmp_path / "profile.json", measured(checkpoint))
    rope = read_config(checkpoint)
    method = LaMPE(profile=path).bind(rope)
    assert (method.span(256), method.head, method.tail) == (86, 12, 16)
    assert method.plan(256).temperature == pytest.approx(1.03)
    same = LaMPE(span=86, head=12, tail=16, temperature=1.03).bind(rope)
    assert method.plan(256).relative_positions().equal(same.plan(256).relative_positions())
    # What the config says goes before it.
    stated = LaMPE(profile=path, head=8, tail=0, temperature=1.0).bind(rope)
    assert (stated.head, stated.tail, stated.plan(256).temperature) == (8, 0, 1.0)
    assert stated.described()["curve"] == method.described()["curve"]
    assert method.described()["curve"]["l_max"] == 90.0
    assert "measured" not in method.described()["curve"]
    assert "curve" not in same.described()


def test_a_span_that_is_given_asks_no_profile(checkpoint, tmp_path):
    folder = tmp_path / "model"
    make("llama-tied", folder)
    write(folder / BESIDE, measured(checkpoint, fingerprint="another"))
    assert LaMPE(span=60).bind(read_config(folder)).head == WINDOW // 16


def test_the_profile_beside_the_checkpoint_is_found(tmp_path):
    folder = tmp_path / "model"
    make("llama-tied", folder)
    with pytest.warns(ProfileWarning, match="no profile for this model"):
        LaMPE().bind(read_config(folder)).plan(256)
    write(folder / BESIDE, measured(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        llm = LLM.load(folder, positional="lampe", tokenizer=False)
        llm.positional.plan(256)
    assert llm.positional.span(256) == 86
    assert llm.with_positional({"kind": "lampe", "profile": "default"}).positional.span(256) == Profile.default(
        WINDOW
    ).span(256)


def test_the_profile_that_comes_with_lampe_is_found_by_the_weights(checkpoint, monkeypatch):
    own = measured(checkpoint)
    monkeypatch.setattr(profiles, "shipped", lambda: {"tiny": own})
    monkeypatch.setattr("lampe.positional.lampe.shipped", lambda: {"tiny": own})
    rope = read_config(checkpoint).rope
    assert LaMPE().bind(rope).profile == own
    assert LaMPE(profile="tiny").bind(rope).profile == own
    # Other weights, another window, or no checkpoint at all: it is not theirs, and nothing is refused.
    other = rope.model_copy(update={"origin": Origin(folder=rope.origin.folder, fingerprint="f" * 64)})
    assert LaMPE().bind(other).profile is None
    assert LaMPE(original_window=64).bind(rope).profile is None
    assert LaMPE().bind(rope.model_copy(update={"origin": None})).profile is None
    with pytest.raises(ConfigError, match=r"names: llama2, llama3, mistral, llama3\.1, tiny"):
        LaMPE(profile="tinny")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fingerprint": "f" * 64}, "it was measured on other weights, those of tiny; calibrate this model"),
        ({"window": 64}, "it was measured on a trained window of 64, not 128; calibrate this model"),
    ],
)
def test_a_profile_of_another_model_is_refused_unless_forced(checkpoint, tmp_path, changes, reason):
    path = write(tmp_path / "profile.json", measured(checkpoint, **changes))
    with pytest.raises(ConfigError, match=reason) as caught:
        LaMPE(profile=path).bind(read_config(checkpoint))
    assert str(caught.value).startswith(f"lampe profile {path}: ")
    assert "\n" not in str(caught.value)
    assert LaMPE(profile=path, force_profile=True).bind(read_config(checkpoint)).span(256) == 86
    # So is one that lies beside a checkpoint.
    folder = tmp_path / "model"
    make("llama-tied", folder)
    write(folder / BESIDE, measured(folder, **changes))
    with pytest.raises(ConfigError, match=reason):
        LLM.load(folder, positional="lampe", tokenizer=False)


def test_a_written_rope_is_held_to_the_window_alone(checkpoint, tmp_path):
    path = write(tmp_path / "profile.json", measured(checkpoint))
    same = RopeConfig(dim=16, max_position=WINDOW, original_window=WINDOW)
    assert LaMPE(profile=path).bind(same).span(256) == 86
    with pytest.raises(ConfigError, match="window of 128, not 256"):
        LaMPE(profile=path).bind(RopeConfig(dim=16, max_position=256, original_window=256))


def test_a_profile_goes_through_json_and_refuses_other_versions(checkpoint, tmp_path):
    profile = measured(checkpoint)
    path = Path(write(tmp_path / "profile.json", profile))
    assert Profile.load(str(path)) == profile
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "version": 2}))
    with pytest.raises(ConfigError, match="version = 2: input should be 1"):
        Profile.load(str(path))


@pytest.mark.parametrize("name", ["a", "b", "l_max", "temperature", "measured.fit_error"])
@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity", "1" + "0" * 400, "1" + "0" * 5000])
def test_a_profile_holds_finite_numbers_alone(checkpoint, tmp_path, name, value):
    document = measured(checkpoint).model_dump()
    *above, field = name.split(".")
    (document[above[0]] if above else document)[field] = "HERE"
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(document).replace('"HERE"', value))
    with pytest.raises(ConfigError, match=rf"^lampe profile {path}: ") as caught:
        Profile.load(str(path))
    assert "\n" not in str(caught.value)
    if len(value) < 400:
        assert f"{name} = {float(value)}: input should be a finite number" in str(caught.value)


@pytest.mark.parametrize("field", ["loss", "error"])
def test_a_span_that_was_tried_has_a_finite_loss(field):
    with pytest.raises(ValueError, match=rf"{field}\n  Input should be a finite number"):
        Tried(**{"span": 60, "loss": 2.5, "contexts": 3, field: float("nan")})


@pytest.mark.parametrize("path", sorted(profiles.SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_what_comes_with_lampe_is_written_as_it_was_read(path):
    profile = Profile.from_json(path.read_bytes(), "lampe profile")
    assert to_json(profile, indent=2) + b"\n" == path.read_bytes()


def test_models_are_equal_wherever_they_came_from(checkpoint):
    read = read_config(checkpoint).rope
    assert read.origin == Origin(folder=str(checkpoint), fingerprint=fingerprint(checkpoint))
    bare = read.model_copy(update={"origin": None})
    assert read == bare
    assert hash(read) == hash(bare)
    assert read != bare.model_copy(update={"theta": 5.0})


def test_a_config_alone_can_be_read(tmp_path):
    make("llama-tied", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert read_config(tmp_path).rope.origin == Origin(folder=str(tmp_path), fingerprint=None)
