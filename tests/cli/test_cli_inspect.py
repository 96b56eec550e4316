"""`lampe inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from transformers import MistralConfig

from lampe.config import PositionalConfig, RopeConfig
from lampe.inspection import plan_facts
from lampe.positional import LaMPE, PositionWarning, RoPE, YaRN, registry
from tests import checkpoints
from tests.cli.chat_model import Lampe

ROPE = RopeConfig(theta=10000.0, dim=128, max_position=8192, original_window=8192)


def test_the_table(lampe: Lampe) -> None:
    """The check values of LaMPE at N = 16384, U = 1536, h = 512, t = 200."""
    result = lampe("inspect", "lampe:head=512:span=1536", "--length", 16384)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "lampe:head=512:span=1536 at 16,384 tokens",
        "region distances, last query relative positions pairs share",
        "head 0 to 511 0 to 511 8,257,792 6.15%",
        "middle 512 to 16,181 513 to 1,982 125,947,625 93.83%",
        "tail 16,182 to 16,383 1,982 to 2,183 20,503 0.02%",
        "",
        "trained window 8,192",
        "largest relative position 2,183 (inside)",
        "tokens reached by the last query 16,384 of 16,384 (100.0%)",
        "distinct positions it sees 2,183",
        "cached keys a decode step rotates 2",
        "temperature A 1.06931 (logits x 1.14343)",
        "log-n scaling of query i off",
        "inv_freq over plain RoPE's 1",
    ]


def test_json_is_the_facts(lampe: Lampe) -> None:
    result = lampe("inspect", "yarn", "--set", "factor=4", "--length", 20000, "--json")
    assert json.loads(result.stdout) == plan_facts(YaRN(factor=4).bind(ROPE), 20000).model_dump(mode="json")


def test_the_rope_by_hand(lampe: Lampe) -> None:
    result = lampe("inspect", "rope", "-n", 100, "--window", 64, "--theta", 500, "--dim", 16, "--json")
    rope = RopeConfig(theta=500.0, dim=16, max_position=64, original_window=64)
    with pytest.warns(PositionWarning):
        expected = plan_facts(RoPE().bind(rope), 100)
    assert json.loads(result.stdout) == expected.model_dump(mode="json")
    assert result.stderr == ("warning: rope: 100 tokens reach relative position 99, outside the trained window of 64\n")


@pytest.mark.slow
def test_a_length_of_128k_stays_small(lampe: Lampe, tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    result = lampe("inspect", "lampe:head=512:profile=llama3", "-n", 131072, "--json", "--out", picture)
    facts = json.loads(result.stdout)
    assert facts["tokens_reached"] == 131072
    assert facts["largest_position"] < 8192
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_rope_of_a_checkpoint(lampe: Lampe, checkpoint: Path) -> None:
    """The window of the checkpoint is 128 tokens; its weights are not needed."""
    facts = json.loads(lampe("inspect", "rope", "-n", 300, "--checkpoint", checkpoint, "--json").stdout)
    assert (facts["trained_window"], facts["tokens_reached"], len(facts["frequency_ratio"])) == (128, 128, 8)


def test_the_sliding_window_of_a_layer(lampe: Lampe, tmp_path: Path) -> None:
    MistralConfig(**checkpoints.SHAPE, sliding_window=24, architectures=["MistralForCausalLM"]).save_pretrained(
        tmp_path
    )
    arguments = ("inspect", "lampe:head=8:tail=4:span=30", "-n", 100, "--checkpoint", tmp_path, "--json")
    facts = json.loads(lampe(*arguments).stdout)
    assert (facts["sliding_window"], facts["tokens_reached"]) == (24, 24)
    assert [region["farthest"] for region in facts["regions"]] == [7, 23, None]
    assert facts["dropped_pairs"] == 76 * 77 // 2
    assert json.loads(lampe(*arguments, "--set", "sliding_window=off").stdout)["tokens_reached"] == 100
    every = json.loads(lampe("inspect", "--all", *arguments[2:]).stdout)
    assert every["rope"]["tokens_reached"] == every["rerope"]["tokens_reached"] == 24
    for window, reached in ((10, 10), (50, 24)):
        assert json.loads(lampe(*arguments, "--set", f"sliding_window={window}").stdout)["tokens_reached"] == reached
    assert "sliding window" in " ".join(lampe(*arguments[:-1]).stdout.split())


def test_fractional_positions_are_shown(lampe: Lampe) -> None:
    text = lampe("inspect", "lampe:head=8:tail=0:span=30:fractional=true:log_n=true", "-n", 100, "--window", 64).stdout
    exact = LaMPE(head=8, tail=0, span=30, fractional=True).bind(
        RopeConfig(theta=10000.0, dim=128, max_position=64, original_window=64)
    )
    largest = plan_facts(exact, 100).largest_position
    assert f"{largest:,.10g} (inside)" in text
    assert "max(1, ln(i + 1) / ln(64))" in text


def test_it_says_where_the_picture_is(lampe: Lampe, tmp_path: Path) -> None:
    picture = tmp_path / "map.svg"
    assert lampe("inspect", "rope", "-n", 64, "--out", picture).stdout.splitlines()[-1] == f"wrote {picture}"
    assert "<svg" in picture.read_text(encoding="utf-8")


@pytest.mark.slow
def test_all_methods_set_for_a_length(lampe: Lampe, tmp_path: Path) -> None:
    picture = tmp_path / "gallery.png"
    result = lampe("inspect", "--all", "--length", 16384, "--out", picture)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[1] == "rope 16,383 8,192 outside 8,192 16,384 1"
    assert "self-extend:group=4 4,863 8,192 inside 16,384 4,864 1" in lines
    assert "yarn:factor=2.0 16,383 16,384 inside 16,384 16,384 1.143" in lines
    assert "nope 16,383 none inside 16,384 16,384 1" in lines
    assert lines[-1] == f"wrote {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert result.stderr == ""


def test_all_methods_as_json(lampe: Lampe) -> None:
    facts = json.loads(lampe("inspect", "--all", "-n", 20000, "--json").stdout)
    names = {label.partition(":")[0] for label in facts}
    assert names == set(registry.names())
    assert facts["longrope"] == {
        "needs": "longrope: long_factor holds 0 factors, the rotary dimension 128 needs 64; they come with a checkpoint"
    }
    assert facts["nope"]["position_limit"] is None
    assert all("needs" in known or known["length"] == 20000 for known in facts.values())


def test_methods_that_cannot_be_made_say_so_among_all(lampe: Lampe, tmp_path: Path) -> None:
    class Needy(RoPE):
        class Config(PositionalConfig):
            kind: Literal["needy"] = "needy"
            width: int

    arguments = ("inspect", "--all", "-n", 200, "--window", 64)
    with registry.temporarily("needy", Needy):
        facts = json.loads(lampe(*arguments, "--json").stdout)
        lines = [" ".join(line.split()) for line in lampe(*arguments).stdout.splitlines()]
    assert facts["needy"] == {"needs": "positional method 'needy': 'width' is missing"}
    assert facts["rope"]["length"] == 200
    assert lines[lines.index("needy") + 1].startswith("positional method 'needy': 'width'")


def test_fields_for_a_length(lampe: Lampe) -> None:
    text = lampe("inspect", "self-extend:window=512", "-n", 100, "--for-length", 65536).stdout
    assert text.startswith("self-extend:group=16:window=512 at 100 tokens")
    kept = lampe("inspect", "self-extend:group=3", "-n", 100, "--for-length", 32768).stdout
    assert kept.startswith("self-extend:group=3 at 100 tokens")


def test_a_picture_in_the_home_folder(lampe: Lampe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lampe("inspect", "rope", "--length", 64, "--out=~/map.png").exit_code == 0
    assert (tmp_path / "map.png").is_file()
