"""Whole evaluations by the harness, of tasks that lie on this disk, through its own model and lampe's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.evaluation.tiny import prose
from tests.integrations import harness

pytest.importorskip("lm_eval", reason="the lm-evaluation-harness is not installed")

from lampe.integrations import command
from lampe.integrations.lm_eval import LampeLM

WORDS = ("boats", "clouds", "mills", "children")
SENTENCES = prose(40).replace("\n\n", " ").split(". ")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with a task of every kind of request and their twelve documents."""
    folder = tmp_path_factory.mktemp("tasks")
    documents = [
        {
            "question": " ".join(SENTENCES[number : number + 1 + number % 3]),
            "choices": [*WORDS[number % 2 :], f"the {WORDS[number % 4]}"],
            "answer": number % 3,
        }
        for number in range(12)
    ]
    data = folder / "documents.jsonl"
    data.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "doc_to_text": "{{question}}\nWhat came by?",
        "target_delimiter": " ",
    }
    kinds = {
        "river_choice": {
            "output_type": "multiple_choice",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{answer}}",
            "num_fewshot": 1,
            "fewshot_split": "test",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        "river_words": {
            "output_type": "generate_until",
            "doc_to_target": "{{choices[answer]}}",
            "generation_kwargs": {"until": ["\n", "e"], "max_gen_toks": 12, "do_sample": False},
            "metric_list": [{"metric": "exact_match"}],
        },
        "river_text": {
            "output_type": "loglikelihood_rolling",
            "doc_to_target": "{{question}} {{question}}",
            "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
        },
    }
    for name, fields in kinds.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"task": name, **shared, **fields}), encoding="utf-8")
    return folder, list(kinds)


def evaluate(tasks, model, **options):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    folder, names = tasks
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return simple_evaluate(model=model, tasks=names, task_manager=manager, bootstrap_iters=0, **options)


def scores(results):
    return {
        (task, metric): value
        for task, metrics in results["results"].items()
        for metric, value in metrics.items()
        if isinstance(value, float)
    }


@pytest.mark.parametrize("chat", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_scores_are_those_of_the_harness(tasks, folder, reference, chat):
    arguments = f"pretrained={folder},positional=rope,dtype=float32"
    found = evaluate(tasks, "lampe", model_args=arguments, batch_size=4, apply_chat_template=chat)
    expected = evaluate(tasks, reference, apply_chat_template=chat)
    assert scores(found) == pytest.approx(scores(expected), rel=1e-5)
    assert {task for task, _ in scores(found)} == set(tasks[1])
    assert len(scores(found)) >= 5
    for task in tasks[1]:
        pairs = zip(found["samples"][task], expected["samples"][task], strict=True)
        assert all(mine["arguments"] == theirs["arguments"] for mine, theirs in pairs)
    written = [sample["filtered_resps"] for sample in found["samples"]["river_words"]]
    assert written == [sample["filtered_resps"] for sample in expected["samples"]["river_words"]]
    assert len({str(answer) for answer in written}) > 6
    assert found["config"]["lampe"]["positional"]["kind"] == "rope"


@pytest.mark.slow
def test_cached_answers_are_not_computed_again(tasks, folder, tmp_path, computed):
    model = LampeLM(pretrained=str(folder), positional="rope")
    first = evaluate(tasks, model, use_cache=str(tmp_path / "answers"))
    passes = len(computed)
    assert passes > 40
    assert scores(evaluate(tasks, model, use_cache=str(tmp_path / "answers"))) == scores(first)
    assert len(computed) == passes


def command_line(tasks, folder, output, *more):
    return [
        *("--model", "lampe", "--model_args", f"pretrained={folder},positional=lampe:head=16:span=96,max_length=300"),
        *(
            "--tasks",
            "river_choice",
            "--include_path",
            str(tasks[0]),
            "--batch_size",
            "4",
            "--output_path",
            str(output),
        ),
        *more,
    ]


def written(output: Path):
    [path] = output.rglob("results*.json")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def few_tasks(monkeypatch):
    """The command without the harness's own tasks, whose list takes it seconds to make."""
    from lm_eval import tasks

    monkeypatch.setattr(tasks, "TaskManager", partial(tasks.TaskManager, include_defaults=False))


@pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")
def test_the_command_knows_the_model(tasks, folder, tmp_path, monkeypatch, capsys, few_tasks):
    more = ["--apply_chat_template", "--limit", "4"]
    monkeypatch.setattr(sys, "argv", ["lampe-lm-eval", *command_line(tasks, folder, tmp_path, *more)])
    command.lm_eval()
    results = written(tmp_path)
    assert 0 <= results["results"]["river_choice"]["acc,none"] <= 1
    method = results["config"]["lampe"]["positional"]
    assert (method["kind"], method["head"], method["span"]) == ("lampe", 16, 96)
    assert results["chat_template"] == harness.TEMPLATE
    assert "river_choice" in capsys.readouterr().out


def test_bad_arguments_end_the_command_with_one_sentence(tasks, folder, tmp_path, monkeypatch, capsys, few_tasks):
    line = command_line(tasks, folder, tmp_path)
    line[3] = line[3].replace("positional", "positonal")
    monkeypatch.setattr(sys, "argv", ["lampe-lm-eval", *line])
    with pytest.raises(SystemExit) as caught:
        command.lm_eval()
    assert caught.value.code == 2
    assert "error: model_args: unknown field 'positonal' (did you mean 'positional'?)" in capsys.readouterr().err


def test_the_command_says_which_extra_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lm_eval.models", None)
    monkeypatch.delitem(sys.modules, "lampe.integrations.lm_eval")
    with pytest.raises(SystemExit):
        command.lm_eval()
    assert capsys.readouterr().err.endswith("needs lm_eval: pip install 'lampe[lm-eval]'\n")


@pytest.mark.slow
def test_the_module_is_the_command(tasks, folder, tmp_path):
    line = [sys.executable, "-m", "lampe.integrations.lm_eval", *command_line(tasks, folder, tmp_path, "--limit", "2")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert written(tmp_path)["config"]["model"] == "lampe"


@pytest.mark.slow
def test_the_own_models_of_the_harness_stay_known():
    code = "import lampe.integrations.lm_eval, lm_eval.api.registry as r; print(r.get_model('dummy').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "DummyLM"
