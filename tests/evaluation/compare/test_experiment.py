from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from lampe import LaMPE, evaluation
from lampe.errors import ConfigError
from lampe.evaluation import Passkey, Perplexity, Task, TaskConfig
from lampe.evaluation.compare import Experiment, read_experiment


def written(tmp_path: Path, fields: Any, name: str = "e.yaml") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(fields) if name.endswith(".json") else yaml.safe_dump(fields, sort_keys=False))
    return path


@pytest.mark.parametrize("name", ["e.yaml", "e.json"])
def test_a_file_becomes_typed_values(tmp_path: Path, fields, name: str):
    fields["tasks"][1] |= {"lengths": [400, 100, 400], "limit": {"400": 1}}
    experiment = read_experiment(written(tmp_path, fields, name))
    assert experiment.methods["LaMPE"] == LaMPE.Config(head=16, tail=8, span=64)
    assert list(experiment.methods) == ["RoPE", "YaRN", "LaMPE"]
    assert [type(entry.create()) for entry in experiment.tasks] == [Perplexity, Passkey]
    assert experiment.tasks[1].task.depths == (0.2, 0.6)
    assert [experiment.lengths_of(entry) for entry in experiment.tasks] == [(200, 320), (100, 400)]
    assert [experiment.tasks[1].trials(n) for n in (100, 400)] == [float("inf"), 1]
    assert (experiment.reference, experiment.fit_length) == ("RoPE", True)
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


def test_short_forms(model: Path):
    experiment = Experiment(models=str(model), methods=["rope", "checkpoint"], tasks=["perplexity"], lengths=[300, 100])
    assert [entry.name for entry in experiment.models] == ["tiny"]
    assert experiment.methods["checkpoint"] is None
    assert experiment.lengths == (100, 300)


class Coast(Task):
    """A task of a suite of two data sets."""

    class Config(TaskConfig):
        kind: Literal["coast"] = "coast"
        dataset: Literal["north", "south"]
        data: str = "."

    suite = "map"

    @property
    def default_name(self) -> str:
        return f"map/{self.config.dataset}"

    def samples(self, tokenizer, lengths):
        return iter(())

    def measure(self, runner, sample):
        raise NotImplementedError


class Hills(Coast):
    """A task of the same suite."""

    class Config(TaskConfig):
        kind: Literal["hills"] = "hills"
        steep: bool = False

    @property
    def default_name(self) -> str:
        return "hills"


def test_a_suite_stands_for_all_its_tasks(fields):
    with evaluation.registry.temporarily("coast", Coast), evaluation.registry.temporarily("hills", Hills):
        fields["tasks"] = ["perplexity", {"suite": "map", "data": "folder", "steep": True, "limit": 3}]
        entries = Experiment.model_validate(fields).tasks[1:]
        assert [entry.create().name for entry in entries] == ["map/north", "map/south", "hills"]
        assert [entry.limit for entry in entries] == [3, 3, 3]
        assert entries[0].task.data == "folder"
        assert entries[2].task.steep
        fields["tasks"] = [{"suite": "map", "without": ["north"]}]
        assert [entry.create().name for entry in Experiment.model_validate(fields).tasks] == ["map/south", "hills"]
        for wrong, sentence in (
            ({"suite": "maps"}, r"unknown suite 'maps' \(did you mean 'map'\?\)"),
            (
                {"suite": "map", "steeep": 1},
                r"suite 'map': no task of it has a field 'steeep' \(did you mean 'steep'\?\)",
            ),
            (
                {"suite": "map", "without": ["east"]},
                "without = .'east'.: a list of these is accepted: hills, north, south",
            ),
        ):
            fields["tasks"] = [wrong]
            with pytest.raises(ValueError, match=sentence):
                Experiment.model_validate(fields)


BAD = [
    ({"lengths": []}, "lengths = "),
    ({"lengths": [0]}, "lengths.0 = 0: input should be greater than or equal to 1"),
    ({"methods": {"x": "yran"}}, "method 'x': unknown positional method 'yran' (did you mean 'yarn'?)"),
    ({"methods": {"x": {"kind": "yarn", "factr": 2}}}, "unknown field 'factr' (did you mean 'factor'?)"),
    ({"methods": {"x": 3}}, "method 'x' = 3: a name, or kind and fields, would be accepted"),
    ({"tasks": ["perplexty"]}, "unknown task 'perplexty' (did you mean 'perplexity'?)"),
    ({"tasks": [{"kind": "passkey", "keys": 0}]}, "task 'passkey': keys = 0"),
    ({"tasks": ["passkey", "passkey"]}, "task 'passkey' comes twice: give one of them a label of its own"),
    ({"models": ["a/b", "c/b"]}, "model 'b' comes twice: give one of them a label of its own"),
    ({"baseline": "YARN"}, "baseline = 'YARN': no such method (did you mean 'YaRN'?); methods: RoPE, YaRN, LaMPE"),
    ({"tasks": [{"task": 5}]}, "task 5: a name, or kind and fields, would be accepted; kinds: "),
    ({"tasks": [{"task": None}]}, "task None: a name, or kind and fields, would be accepted"),
    ({"tasks": [{"task": ["a", "b"]}]}, "task ['a', 'b']: a name, or kind and fields, would be accepted"),
    ({"tasks": [{"suite": "ruler", 5: 3}]}, "suite 'ruler': no task of it has a field 5"),
    ({"tasks": [{"kind": "perplexity", True: 3}]}, "task 'perplexity': True is no name of a field"),
    ({"methods": {"x": {"kind": "yarn", True: 3}}}, "positional method 'yarn': True is no name of a field"),
    ({True: 3}, "True is no name of a field (YAML reads on, off, yes and no as true and false); fields: title"),
    (
        {"tasks": [{"kind": "passkey", "limit": {8912: 1, 200: 1}}]},
        "task 'passkey': limit names 8912 tokens, which is none of its lengths: 200, 320",
    ),
    (
        {"tasks": [{"kind": "passkey", "lengths": [500], "limit": {200: 1}}]},
        "task 'passkey': limit names 200 tokens, which is none of its lengths: 500",
    ),
    *(
        ({"tasks": [{"kind": kind, "text": []}]}, f"task {kind!r}: text = []: input should be a valid string, or tuple")
        for kind in ("needle", "passkey-loss", "perplexity", "sliding-perplexity")
    ),
    ({"length": [5]}, "unknown field 'length' (did you mean 'lengths'?)"),
]


@pytest.mark.parametrize(("wrong", "sentence"), BAD)
def test_bad_fields_are_one_sentence(tmp_path: Path, fields, wrong, sentence: str):
    path = written(tmp_path, {**fields, **wrong})
    with pytest.raises(ConfigError) as error:
        read_experiment(path)
    assert str(error.value).startswith(f"experiment {path}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_experiment(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_experiment(tmp_path / "none.yaml")
    for content, sentence in (
        ("a: [1", "is no YAML"),
        ("- 1", "holds no fields: title, models, methods"),
        ("", "no fields"),
    ):
        path = tmp_path / "e.yaml"
        path.write_text(content)
        with pytest.raises(ConfigError, match=sentence):
            read_experiment(path)
