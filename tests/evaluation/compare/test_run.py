from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import sys
import types
import weakref
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

from lampe import evaluation, positional
from lampe.errors import ConfigError, MissingExtraError, PlanError
from lampe.evaluation import Budget, Outcome, Passkey, Sample, Task, TaskConfig, evaluate
from lampe.evaluation.compare import Experiment, Plan, Store, read_records, run
from lampe.evaluation.compare.store import key_of
from lampe.llm import LLM
from lampe.positional import Region, RemapConfig, RemapEncoding
from tests.evaluation.compare.conftest import fields_of


def finish(experiment: Experiment, folder: Path, *, after: int | None = None) -> int:
    """Run an experiment, or so many scores of it as one that is killed then; how many were made."""
    plan, made = Plan.make(experiment), 0
    with Store(folder) as store:
        for _ in run(plan, store, Budget(None, 0.001)):
            made += 1
            if made == after:
                break
    return made


@pytest.fixture(autouse=True)
def _one_thread(_threads: None) -> None:
    """A record says how many threads there were, so slow tests have no more than the quick ones."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(model: Path, text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run that nothing disturbs."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compared") / "whole"
    assert finish(Experiment.model_validate(fields_of(model, text)), folder) == 60
    return folder


@pytest.fixture
def undisturbed(whole: Path, tmp_path: Path) -> bytes:
    """The results file of that run, of whose folder each test has a copy, `tmp_path / "whole"`."""
    shutil.copytree(whole, tmp_path / "whole")
    return (whole / "results.jsonl").read_bytes()


def test_every_method_meets_the_same_prompts_in_the_order_of_trials(undisturbed, tmp_path: Path):
    records = list(read_records(tmp_path / "whole" / "results.jsonl"))
    cells = [(r.trial, r.length, r.name, r.setting.label) for r in records]
    order = [
        (trial, length, name, label)
        for trial in (0, 1)
        for length in (200, 320)
        for name, samples in (("perplexity", 1), ("passkey", 4))
        for label in ("RoPE", "YaRN", "LaMPE")
        for _ in range(samples)
    ]
    assert cells == order
    prompts = {}
    for record in records:
        prompts.setdefault(record.setting.label, []).append((record.prompt_sha256, record.facts))
    assert prompts["RoPE"] == prompts["YaRN"] == prompts["LaMPE"]


def test_every_record_carries_what_made_it(undisturbed, model, llm, tmp_path: Path):
    records = list(read_records(tmp_path / "whole" / "results.jsonl"))
    record = next(record for record in records if (record.setting.label, record.length) == ("YaRN", 320))
    assert record.setting.positional["factor"] == 2.5
    assert record.setting.model == "tiny"
    assert record.setting.tokenizer == llm.tokenizer.fingerprint
    assert len(record.setting.fingerprint) == 64
    assert record.seconds == 0
    assert b"seconds" not in undisturbed
    timings = [json.loads(line) for line in (tmp_path / "whole" / "timings.jsonl").read_text().splitlines()]
    assert [item["key"] for item in timings] == [key_of(record) for record in records]
    assert all(item["seconds"] > 0 for item in timings)


def test_scores_are_those_of_evaluate(undisturbed, llm, text, tmp_path: Path):
    task = Passkey(text=text, places=2, keys=2, depths=(0.2, 0.6), max_new_tokens=6)
    method = {"kind": "lampe", "head": 16, "tail": 8, "span": 64}
    expected = [(r.prompt_sha256, r.output, r.score) for r in evaluate(llm, {"LaMPE": method}, task, (200, 320))]
    records = read_records(tmp_path / "whole" / "results.jsonl")
    got = [(r.prompt_sha256, r.output, r.score) for r in records if (r.name, r.setting.label) == ("passkey", "LaMPE")]
    assert sorted(got) == sorted(expected)


@pytest.mark.parametrize(
    "cuts", [(7, 13, 5), *(pytest.param(cuts, marks=pytest.mark.slow) for cuts in [(1,), (59,), (2, 2, 2, 2, 2)])]
)
def test_a_run_that_is_cut_ends_with_the_same_file(experiment, undisturbed, tmp_path: Path, cuts):
    folder = tmp_path / "cut"
    for cut in cuts:
        finish(experiment, folder, after=cut)
        # A kill in the middle of a write leaves half a line.
        with (folder / "results.jsonl").open("ab") as file:
            file.write(undisturbed.splitlines()[40][:100])
        with (folder / "timings.jsonl").open("ab") as file:
            file.write(b'{"key": "12')
    assert finish(experiment, folder) == 60 - sum(cuts)
    assert (folder / "results.jsonl").read_bytes() == undisturbed
    assert finish(experiment, folder) == 0


def test_scores_that_came_in_another_order_are_arranged(experiment, undisturbed, tmp_path: Path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "results.jsonl").write_bytes(b"".join(reversed(undisturbed.splitlines(keepends=True)[:30])))
    assert finish(experiment, folder) == 30
    assert (folder / "results.jsonl").read_bytes() == undisturbed


@pytest.mark.slow
def test_more_trials_methods_and_lengths_are_added(fields, undisturbed, tmp_path: Path):
    fewer = {**fields, "methods": {"LaMPE": fields["methods"]["LaMPE"]}}
    fewer["tasks"] = [{**task, "limit": {320: 0, 200: 1}} for task in fields["tasks"]]
    assert finish(Experiment.model_validate(fewer), tmp_path / "grown") == 1 + 4
    assert finish(Experiment.model_validate(fields), tmp_path / "grown") == 60 - 5
    assert (tmp_path / "grown" / "results.jsonl").read_bytes() == undisturbed


def test_scores_of_another_experiment_are_refused(fields, undisturbed, tmp_path: Path):
    def refused(changed: dict, sentence: str) -> None:
        with pytest.raises(ConfigError, match=sentence):
            finish(Experiment.model_validate(changed), tmp_path / "whole")
        assert (tmp_path / "whole" / "results.jsonl").read_bytes() == undisturbed

    fields["tasks"].append({"kind": "perplexity", "text": fields["tasks"][0]["text"], "tokens": 9, "label": "more"})
    refused({**fields, "methods": {"RoPE": "rope"}}, "another experiment: perplexity of YaRN at 200 tokens, trial 0")
    changed = [{**fields["tasks"][0], "tokens": 21}, *fields["tasks"][1:]]
    refused({**fields, "tasks": changed}, "another experiment: perplexity of RoPE at 200 tokens")
    methods = {**fields["methods"], "YaRN": {"kind": "yarn", "factor": 7}}
    refused({**fields, "methods": methods}, "scores of YaRN at 200 tokens that were made otherwise: positional was")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"prefill_chunk": 64}, "prefill_chunk was 4096 and is 64"),
        ({"dtype": "bfloat16"}, "dtype was 'float32' and is 'bfloat16'"),
        ({"attention": "dense"}, "attention was {'kind': 'auto'} and is {'kind': 'dense'}"),
        ({"device": "cuda"}, "device was 'cpu' and is 'cuda'"),
        ({"threads": 999}, "threads was [0-9]+ and is 999"),
    ],
)
def test_finished_scores_that_were_made_otherwise_are_refused(fields, undisturbed, tmp_path: Path, entry, sentence):
    fields["models"][0] |= entry
    with pytest.raises(ConfigError, match=f"scores of RoPE at 200 tokens that were made otherwise: {sentence}; name"):
        finish(Experiment.model_validate(fields), tmp_path / "whole")


def test_finished_scores_of_a_method_that_was_set_otherwise_are_refused(fields, undisturbed, tmp_path: Path):
    # Nothing is left to be measured, so that no model is loaded which could tell.
    fields["methods"]["YaRN"] = {"kind": "yarn", "factor": 8}
    plan = Plan.make(Experiment.model_validate(fields))
    with Store(tmp_path / "whole") as store, pytest.raises(ConfigError, match=r"YaRN at 200 tokens .* positional was"):
        plan.check(store.records, store.path)


def test_finished_scores_of_other_weights_or_another_lampe_are_refused(
    fields, undisturbed, model: Path, tmp_path: Path, monkeypatch
):
    def refused(sentence: str) -> None:
        with pytest.raises(ConfigError, match=f"RoPE at 200 tokens that were made otherwise: {sentence}"):
            finish(Experiment.model_validate(fields), tmp_path / "whole")

    with monkeypatch.context() as patched:
        patched.setattr("lampe.__version__", "0.0.0")
        refused("lampe was '[^']+' and is '0.0.0'")
    shutil.copytree(model, tmp_path / "tiny")
    (weights,) = (tmp_path / "tiny").glob("*.safetensors")
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, weights)
    fields["models"][0]["checkpoint"] = str(tmp_path / "tiny")
    refused("fingerprint was '[0-9a-f]{64}' and is '[0-9a-f]{64}'; name")


OWN = """
from typing import Literal

from lampe.evaluation import Outcome, Sample, Task, TaskConfig
from lampe.positional import Region, RemapConfig, RemapEncoding


class Own(RemapEncoding):
    class Config(RemapConfig):
        kind: Literal["own"] = "own"

    def regions(self, length):
        return (Region("all"),)


class Chosen(Task):
    class Config(TaskConfig):
        kind: Literal["chosen"] = "chosen"

    def samples(self, tokenizer, lengths):
        for length in lengths:
            yield Sample(self, length, 0, tuple(range(7, 7 + length)), {})

    def measure(self, runner, sample):
        return Outcome(0.5)
"""


@pytest.mark.parametrize(
    ("methods", "tasks", "sentence"),
    [
        ({"mine": "own"}, ["perplexity"], "scores of mine .* the code of method 'own' has changed since; name another"),
        ({"RoPE": "rope"}, ["chosen"], "scores of RoPE .* the code of task 'chosen' has changed since; name another"),
    ],
)
def test_scores_of_a_plug_in_whose_code_was_edited_are_refused(
    fields, tmp_path: Path, monkeypatch, methods, tasks, sentence: str
):
    text = {"kind": "perplexity", "text": fields["tasks"][0]["text"], "tokens": 20, "places": 1}
    fields |= {"methods": methods, "tasks": [text if task == "perplexity" else task for task in tasks], "lengths": [60]}
    folder = tmp_path / "own"

    def again(code: str) -> int:
        module = types.ModuleType("own_code")
        (tmp_path / "own_code.py").write_text(code)
        module.__file__ = str(tmp_path / "own_code.py")
        monkeypatch.setitem(sys.modules, "own_code", module)
        exec(code, module.__dict__)
        with (
            positional.registry.temporarily("own", module.Own),
            evaluation.registry.temporarily("chosen", module.Chosen),
        ):
            return finish(Experiment.model_validate(fields), folder)

    assert again(OWN) == 1
    results = (folder / "results.jsonl").read_text()
    assert (results.count('"method_code":'), results.count('"task_code":')) == (
        methods != {"RoPE": "rope"},
        tasks == ["chosen"],
    )
    assert again(OWN) == 0
    with pytest.raises(ConfigError, match=sentence):
        again(OWN + "# edited")
    # A file of before codes were recorded says nothing of them.
    (folder / "results.jsonl").write_text(re.sub(r',"(method|task)_code":"[0-9a-f]{64}"', "", results))
    assert again(OWN + "# edited") == 0


def test_scores_of_what_comes_with_lampe_say_nothing_of_code(undisturbed):
    assert b"_code" not in undisturbed


def test_threads_of_a_cpu_do_not_count_for_scores_of_an_accelerator(experiment, undisturbed, tmp_path: Path):
    changed = undisturbed.replace(b'"device":"cpu"', b'"device":"cuda:0"')
    changed = re.sub(rb'"threads":[0-9]+', b'"threads":null', changed)
    (tmp_path / "whole" / "results.jsonl").write_bytes(changed)
    entry = experiment.models[0].model_copy(update={"threads": 2, "device": "cuda"})
    plan = Plan.make(experiment.model_copy(update={"models": (entry,)}))
    with Store(tmp_path / "whole") as store:
        assert plan.check(store.records, store.path) is None


def test_one_model_is_in_memory_at_a_time(fields, model: Path, tmp_path: Path, monkeypatch):
    load, loaded = LLM.load, []

    def loading(*arguments, **options):
        assert not any(model() for model in loaded)
        llm = load(*arguments, **options)
        loaded.append(weakref.ref(llm.model))
        return llm

    monkeypatch.setattr(LLM, "load", loading)
    fields["models"] = [{**fields["models"][0], "label": name} for name in ("one", "two")]
    fields["tasks"], fields["lengths"] = [{**fields["tasks"][0], "places": 1}], [200]
    assert finish(Experiment.model_validate(fields), tmp_path / "two") == 6
    assert len(loaded) == 2


def test_a_line_that_is_no_record_is_named_and_kept(experiment, undisturbed, tmp_path: Path):
    path = tmp_path / "whole" / "results.jsonl"
    path.write_bytes(undisturbed.replace(b'"score":', b'"scroe":', 1))
    with pytest.raises(ConfigError, match=r"results.jsonl line 1 is no record: .*unknown field 'scroe'"):
        finish(experiment, tmp_path / "whole")
    assert path.read_bytes() == undisturbed.replace(b'"score":', b'"scroe":', 1)


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"\xff", b'{"key": "a", "seconds": "long"}', b"", b"null"])
def test_a_line_that_is_no_timing_is_named(tmp_path: Path, line: bytes):
    path = tmp_path / "timings.jsonl"
    path.write_bytes(b'{"key": "a", "seconds": 1.5}\n' + line + b"\n")
    with Store(tmp_path) as store, pytest.raises(ConfigError) as error:
        store.seconds()
    assert str(error.value) == (
        f"{path} line 2 is no timing: delete the file, which only helps to guess how long the rest takes"
    )
    path.write_bytes(b'{"key": "a", "seconds": 1.5}\n{"key": "b", "sec')
    with Store(tmp_path) as store:
        assert store.seconds() == {"a": 1.5}


def _hold(folder: Path, holding, release) -> None:
    with Store(folder):
        holding.set()
        release.wait(30)


@pytest.mark.slow
def test_two_processes_do_not_write_to_one_folder(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    holding, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "held", holding, release))
    other.start()
    try:
        assert holding.wait(60)
        with pytest.raises(ConfigError, match="held is being written by another process"), Store(tmp_path / "held"):
            pass
        # The lock goes with the process, however it ends.
        other.kill()
        other.join(30)
        with Store(tmp_path / "held"):
            pass
    finally:
        other.kill()


def test_a_budget_ends_a_run_between_units(experiment, tmp_path: Path):
    plan = Plan.make(experiment)
    clock = iter(range(10**6))
    with Store(tmp_path / "short") as store:
        made = list(run(plan, store, Budget(10, 0.001, clock=lambda: next(clock))))
    assert 0 < len(made) < 60
    assert len(made) in {sum(len(unit.keys) for unit in plan.units[:count]) for count in range(len(plan.units))}


def test_lengths_that_do_not_do_are_refused_before_any_work(fields):
    fields["methods"]["DCA"] = {"kind": "dca", "chunk": 64, "local": 8, "original_window": 16}
    fields["tasks"] = [{"kind": "perplexity", "text": fields["tasks"][0]["text"], "tokens": 20}]
    fields["lengths"] = [10]
    with pytest.raises(ConfigError, match="a context of 10 tokens is too short to score the last 20"):
        Plan.make(Experiment.model_validate(fields))


class Even(RemapEncoding):
    """Cannot map an odd number of tokens, nor more than 250."""

    class Config(RemapConfig):
        kind: Literal["even"] = "even"

    def regions(self, length: int) -> tuple[Region, ...]:
        if length % 2 or length > 250:
            raise PlanError(f"even: {length} tokens are no even number up to 250")
        return (Region("all"),)


@pytest.fixture
def even(fields):
    """An experiment with such a method, at 200 tokens."""
    with positional.registry.temporarily("even", Even):
        fields["methods"] = {"RoPE": "rope", "Even": "even"}
        fields["lengths"] = [200]
        yield fields


class Given(Task):
    """Contexts of as many tokens as its config says, whatever their length."""

    class Config(TaskConfig):
        kind: Literal["given"] = "given"
        tokens: tuple[int, ...] = (200,)
        new_tokens: int = 0

    facts: ClassVar[Any] = {}
    references: ClassVar[Any] = ()

    def samples(self, tokenizer, lengths):
        for trial, tokens in enumerate(self.config.tokens):
            for length in lengths:
                ids = tuple(range(7, 7 + tokens))
                yield Sample(self, length, trial, ids, self.facts, self.references, self.config.new_tokens)

    def measure(self, runner, sample):
        return Outcome(0.5)


@pytest.mark.parametrize(
    ("method", "task", "where"),
    [
        ("even", {"tokens": [200, 120, 33, 35]}, "trial 2, at 33 tokens: even: 33 tokens are"),
        # The answer counts where the plan is for all of it.
        ({"kind": "even", "length": "total"}, {"new_tokens": 3}, "trial 0, at 203 tokens: even: 203 tokens are"),
    ],
)
def test_a_prompt_that_a_method_cannot_map_is_refused_before_any_work(even, method, task, where: str):
    with evaluation.registry.temporarily("given", Given):
        even["methods"]["Even"] = method
        even["tasks"] = [{"kind": "given"}]
        assert len(Plan.make(Experiment.model_validate({**even, "methods": {"Even": "even"}})).keys) == 1
        even["tasks"] = [{"kind": "given", "label": "mine", **task}]
        with pytest.raises(ConfigError) as error:
            Plan.make(Experiment.model_validate(even))
    assert str(error.value) == f"method 'Even' on task 'mine', {where} no even number up to 250"


def test_a_length_with_limit_0_is_asked_of_no_method(even):
    even["tasks"], even["lengths"] = [{**even["tasks"][0], "limit": {100: 2, 300: 0}}], [100, 300]
    plan = Plan.make(Experiment.model_validate(even))
    assert {unit.cell.length for unit in plan.units} == {cell.length for cell in plan.methods} == {100}
    assert plan.outside() == []
    even["tasks"][0]["limit"] = {300: 1}
    with pytest.raises(ConfigError, match="method 'Even' at 300 tokens: even: 300 tokens are no even number"):
        Plan.make(Experiment.model_validate(even))


@pytest.mark.parametrize(
    ("facts", "references", "sentence"),
    [
        ({"ratio": float("inf")}, (), "with the fact ratio = inf: a finite number, a text, True or False would be "),
        ({"at": 3, "ratio": float("nan")}, (), "with the fact ratio = nan: a finite number"),
        ({"depth": None}, (), "with the fact depth = None: a finite number"),
        ({"depth": (1, 2)}, (), r"with the fact depth = \(1, 2\): a finite number"),
        ({7: 1}, (), "with a fact that is named 7: a text would be accepted"),
        ({}, (5,), r"with references = \(5,\): a tuple of texts would be accepted"),
        ({}, "yes", "with references = 'yes': a tuple of texts would be accepted"),
    ],
)
def test_samples_that_no_file_could_hold_are_refused_before_any_work(fields, llm, facts, references, sentence: str):
    class Wrong(Given):
        class Config(TaskConfig):
            kind: Literal["wrong"] = "wrong"
            tokens: tuple[int, ...] = (200,)
            new_tokens: int = 0

    Wrong.facts, Wrong.references = facts, references
    sentence = f"^task 'wrong' makes a sample of 200 tokens, trial 0, {sentence}"
    with evaluation.registry.temporarily("wrong", Wrong):
        fields["tasks"] = ["wrong"]
        with pytest.raises(ConfigError, match=sentence):
            Plan.make(Experiment.model_validate(fields))
        with pytest.raises(ConfigError, match=sentence):
            next(evaluate(llm, {"RoPE": "rope"}, Wrong(), (200,)))


def test_a_library_that_scoring_needs_is_missed_before_any_work(fields, tmp_path: Path, monkeypatch):
    record = {"context": "Ann did.", "input": "", "answers": ["Ann"]}
    (tmp_path / "gov_report.jsonl").write_text(json.dumps(record))
    fields["tasks"] = [{"kind": "longbench", "dataset": "gov_report", "data": str(tmp_path), "template": "none"}]
    assert len(Plan.make(Experiment.model_validate(fields)).keys) == 6
    monkeypatch.setitem(sys.modules, "rouge", None)
    with pytest.raises(MissingExtraError, match=r"ROUGE-L needs rouge: pip install 'lampe\[benchmarks\]'"):
        Plan.make(Experiment.model_validate(fields))
