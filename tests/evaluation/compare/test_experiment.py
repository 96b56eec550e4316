from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from lampe import LaMPE, evaluation
from lampe.errors import ConfigError
from lampe.evaluation import Passkey, Perplexity, Task, TaskConfig
from lampe.evaluation.compare import Experiment, Plan, read_experiment


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


def test_an_experiment_that_is_written_and_read_measures_the_same(fields):
    """What was left open stays open: `fit_length` sets it, and leaves alone what was set by hand."""
    methods = {"SE": "self-extend", "by hand": {"kind": "self-extend", "group": 8}, "mine": LaMPE.Config(head=16)}
    experiment = Experiment.model_validate({**fields, "methods": {**methods, "own": "checkpoint"}})
    for written in (json.loads(experiment.model_dump_json()), experiment.model_dump()):
        again = Experiment.model_validate(written)
        assert again == experiment
        assert again.methods["own"] is None
        assert [again.methods[label].model_fields_set for label in methods] == [
            {"kind"},
            {"kind", "group"},
            {"kind", "head"},
        ]
    plans = [Plan.make(each) for each in (experiment, again)]
    set_to = [{cell: method.config for cell, method in plan.methods.items()} for plan in plans]
    assert set_to[0] == set_to[1]
    assert {method.group for cell, method in set_to[1].items() if cell.method == "SE"} == {4, 8}


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


def names(**entry: Any) -> list[str]:
    """The tasks that a suite stands for."""
    fields = {"models": ["m"], "methods": ["rope"], "lengths": [4096], "tasks": [entry]}
    return [entry.create().name for entry in Experiment.model_validate(fields).tasks]


def test_infinitebench_is_read_from_its_files_or_made_up_but_no_data_set_of_it_twice():
    made_up = [f"infinitebench-{name}" for name in ("code-run", "kv-retrieval", "math-calc", "math-find")]
    made_up += ["infinitebench-passkey", "infinitebench-number-string"]
    assert sorted(names(suite="infinitebench")) == sorted(made_up)
    read = names(suite="infinitebench", data="folder")
    assert len(read) == 12
    assert all(name.startswith("infinitebench/") for name in read)
    without = names(suite="infinitebench", data="folder", without=["passkey", "code_run"])
    assert without == [name for name in read if name not in ("infinitebench/passkey", "infinitebench/code_run")]
    mixed = names(suite="infinitebench", data={"math_find": "folder", "code_debug": "folder"})
    assert {name for name in mixed if "/" in name} == {"infinitebench/math_find", "infinitebench/code_debug"}
    assert {name for name in mixed if "/" not in name} == {*made_up} - {"infinitebench-math-find"}


def test_each_task_of_ruler_that_reads_a_file_reads_its_own():
    eleven = names(suite="ruler")
    assert len(eleven) == 11
    assert not {"qa-1", "qa-2"} & set(eleven)
    assert names(suite="ruler", without=["qa-1", "qa-2"]) == eleven
    assert len(names(suite="ruler", data={"qa-1": "squad.json", "qa-2": "hotpot.json"})) == 13
    assert set(names(suite="ruler", data={"qa-2": "hotpot.json"})) == {*eleven, "qa-2"}
    assert set(names(suite="ruler", data="squad.json", without=["qa-2"])) == {*eleven, "qa-1"}


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
    (
        {"tasks": [{"suite": "ruler", "data": "squad.json"}]},
        "suite 'ruler': data = 'squad.json', but qa-1 and qa-2 read files of different formats: a mapping would be "
        "accepted, such as {qa-1: squad.json}; a task that it does not name is left out",
    ),
    (
        {"tasks": [{"suite": "ruler", "data": {"qa1": "squad.json"}}]},
        "suite 'ruler': data names 'qa1', which is no task of it that reads a file (did you mean 'qa-1'?); those are: "
        "qa-1, qa-2",
    ),
    ({"tasks": [{"suite": "leval"}]}, "suite 'leval': 'data' is missing: where its files are, or a mapping by task"),
    (
        {"tasks": [{"suite": "ruler", "dta": 3}]},
        "suite 'ruler': no task of it has a field 'dta' (did you mean 'data'?)",
    ),
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
