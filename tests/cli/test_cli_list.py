"""`lampe list`."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from lampe import attention, evaluation, models, positional
from lampe.config import PositionalConfig
from lampe.errors import PlanError
from lampe.positional import Region
from tests.cli.chat_model import Lampe

REGISTRIES = {
    "methods": positional.registry,
    "backends": attention.registry,
    "families": models.registry,
    "tasks": evaluation.registry,
}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_json_holds_every_entry(lampe: Lampe, kind: str) -> None:
    document = json.loads(lampe("list", kind, "--json").stdout)
    entries = {entry.name: entry for entry in REGISTRIES[kind].entries()}
    assert list(document) == [kind]
    assert [row["name"] for row in document[kind]] == sorted(entries)
    for row in document[kind]:
        entry = entries[row["name"]]
        assert (row["summary"], row["paper"], tuple(row["aliases"])) == (entry.summary, entry.paper, entry.aliases)
        assert ["kind", *row["fields"]] == sorted(entry.cls.Config.model_fields, key=lambda field: field != "kind")


def test_all_of_it_without_an_argument(lampe: Lampe) -> None:
    assert list(json.loads(lampe("list", "--json").stdout)) == list(REGISTRIES)
    titles = [line.strip() for line in lampe("list").stdout.splitlines() if line.strip() in REGISTRIES]
    assert titles == list(REGISTRIES)


def test_the_table_of_methods(lampe: Lampe) -> None:
    lines = [" ".join(line.split()) for line in lampe("list", "methods").stdout.splitlines()]
    assert lines[:2] == ["methods", "name summary paper"]
    rope = lines.index("rope true positions at the trained frequencies arXiv 2104.09864")
    assert lines[rope + 1].startswith("self-extend ")
    assert lines[rope + 2] == "checkpoint_scaling, group, window"
    assert "pi, linear every frequency divided by the factor arXiv 2306.15595" in lines


def test_a_method_of_someone_else_appears(lampe: Lampe) -> None:
    class Mine(positional.RoPE):
        class Config(PositionalConfig):
            kind: Literal["mine"] = "mine"
            strength: int = 3

    with positional.registry.temporarily("mine", Mine, summary="a method of my own"):
        lines = [" ".join(line.split()) for line in lampe("list", "methods").stdout.splitlines()]
    assert lines[lines.index("mine a method of my own") + 1] == "strength"


def test_nothing_is_lost_on_a_narrow_terminal(lampe: Lampe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = lampe("list").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_verbose_says_what_a_method_changes_and_how_far_it_reaches(lampe: Lampe) -> None:
    document = json.loads(lampe("list", "methods", "--verbose", "--json").stdout)["methods"]
    rows = {row["name"]: row for row in document}
    assert list(rows) == positional.names()
    rope, extend, stream = rows["rope"], rows["self-extend"], rows["streaming-llm"]
    assert (rope["family"], rope["changes"], rope["reach"], rope["reach_4x"]) == ("frequency", [], 8192, 8192)
    # (8192 - 1024) * 8 + 1024, and with the groups of 4 and 8 that 2 L and 4 L need.
    assert (extend["reach"], extend["reach_2x"], extend["reach_4x"]) == (58368, 29696, 58368)
    assert (extend["changes"], extend["rotated_keys"]) == (["positions"], 1)
    assert (stream["family"], stream["reach"]) == ("window", None)
    assert stream["changes"] == ["positions", "attended keys"]
    assert rows["yarn"]["changes"] == ["frequencies", "logits"]
    assert rows["hope"]["experimental"]
    assert "come with a checkpoint" in rows["longrope"]["needs"]


def test_the_verbose_table(lampe: Lampe) -> None:
    result = lampe("list", "methods", "-v", "--window", 4096)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "methods, for a trained window L of 4,096 tokens"
    assert "pi frequency frequencies no end 8,192 16,384 0 arXiv 2306.15595" in lines
    extend = lines.index("self-extend remap positions 25,600 25,600 50,176 1 arXiv 2401.01325")
    assert lines[extend + 1] == "reach: (L - W) G + W"
    assert "drops keys between the sinks and the window" in lines
    assert result.stderr == ""


def test_methods_that_cannot_be_reckoned_say_so_in_their_rows(lampe: Lampe) -> None:
    class Needy(positional.RoPE):
        class Config(PositionalConfig):
            kind: Literal["needy"] = "needy"
            width: int

    class Short(positional.RoPE):
        class Config(PositionalConfig):
            kind: Literal["short"] = "short"

        def regions(self, length: int) -> tuple[Region, ...]:
            if length > 20000:
                raise PlanError(f"short: {length} tokens are more than 20000")
            return super().regions(length)

    with positional.registry.temporarily("needy", Needy), positional.registry.temporarily("short", Short):
        document = json.loads(lampe("list", "methods", "--verbose", "--json").stdout)["methods"]
        lines = [" ".join(line.split()) for line in lampe("list", "methods", "-v").stdout.splitlines()]
    needs = {row["name"]: row["needs"] for row in document}
    assert needs["needy"] == "positional method 'needy': 'width' is missing"
    assert needs["short"] == "short: 32768 tokens are more than 20000"
    assert needs["rope"] is None
    row = lines.index("needy frequency reach: L")
    assert lines[row + 1] == "positional method 'needy': 'width' is missing"
