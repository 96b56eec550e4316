from __future__ import annotations

from collections import Counter
from pathlib import Path

from lampe import RopeConfig, positional
from lampe.evaluation.compare import read_experiment, read_records

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "smollm2"


def test_the_studies_are_experiments():
    study, leval = (read_experiment(FOLDER / name) for name in ("study.yaml", "leval.yaml"))
    assert study.lengths == (4096, 8192, 12288, 16384, 24576)
    assert [entry.create().name for entry in study.tasks] == [
        *("perplexity", "passkey", "niah-single-1", "kv-retrieval", "niah-multikey-2", "fwe", "vt")
    ]
    assert study.reference == "RoPE"
    assert [entry.create().name for entry in leval.tasks] == [
        f"leval/{name}" for name in ("coursera", "gsm100", "quality", "sci_fi", "tpo")
    ]


def test_the_results_that_ship_are_of_the_study_that_ships():
    study = read_experiment(FOLDER / "study.yaml")
    tasks = {task.name: task.config.model_dump(mode="json") for task in (entry.create() for entry in study.tasks)}
    records = list(read_records(FOLDER / "results" / "results.jsonl"))
    questions = {"perplexity": 1, "passkey": 2, "kv-retrieval": 8, "niah-multikey-2": 8}
    assert Counter((record.setting.label, record.name, record.length) for record in records) == {
        (label, name, length): 8 * questions.get(name, 1)
        for label in study.methods
        for name in tasks
        for length in study.lengths
    }
    assert len({str(record.setting.model_dump(exclude={"label", "positional"})) for record in records}) == 1
    # What a method is set to for a length follows from the trained window alone here.
    rope = RopeConfig(theta=100000.0, dim=64, max_position=8192, original_window=8192)
    for record in records:
        method = positional.create(study.methods[record.setting.label], rope).for_length(record.length)
        assert record.setting.positional == method.described()
        assert record.task == tasks[record.name]
        assert 0.99 * record.length <= record.tokens <= record.length
    prompts = {}
    for record in records:
        sample = (record.name, record.length, record.trial, tuple(sorted(record.facts.items())))
        assert prompts.setdefault(sample, record.prompt_sha256) == record.prompt_sha256
