from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from lampe.errors import ConfigError
from lampe.evaluation.compare.files import write_summary
from lampe.evaluation.compare.report import Report
from lampe.evaluation.compare.tables import grids, markdown, tables
from lampe.evaluation.leval import LEval
from tests.evaluation.compare.records import Swim, Walk, record, suite


def passkeys(label: str, length: int, found: str, **fields) -> list:
    """A record for each digit, each of a trial of its own."""
    return [record("passkey", label, length, float(digit), trial=trial, **fields) for trial, digit in enumerate(found)]


RECORDS = [
    *passkeys("RoPE", 4096, "11111111"),
    *passkeys("LaMPE", 4096, "11111110"),
    *passkeys("RoPE", 8192, "00000001"),
    *passkeys("LaMPE", 8192, "11111111"),
    *passkeys("YaRN", 8192, "1100"),
    record("perplexity", "RoPE", 8192, 3.0, trial=0),
    record("perplexity", "RoPE", 8192, 4.0, trial=1),
    record("perplexity", "LaMPE", 8192, 2.0, trial=0),
    record("perplexity", "LaMPE", 8192, 2.5, trial=1),
    record("perplexity", "LaMPE", 8192, 9.0, trial=2),
    record("perplexity", "YaRN", 8192, math.nan, trial=0),
    record("perplexity", "YaRN", 8192, 2.0, trial=1),
]


def test_rows_hold_figures_counts_and_differences():
    report = Report.of(RECORDS, baseline="RoPE", labels=["RoPE", "YaRN"])
    assert (report.labels, report.tasks) == (("RoPE", "YaRN", "LaMPE"), ("passkey", "perplexity"))
    assert report.lengths == {"passkey": (4096, 8192), "perplexity": (8192,)}
    row = report.row("m", "passkey", "LaMPE", 8192)
    assert (row.figure, row.samples, row.contexts, row.nonfinite) == (1.0, 8, 8, 0)
    assert (row.difference, row.pairs, row.pair_contexts, row.verdict) == (pytest.approx(7 / 8), 8, 8, "better")
    assert (row.diff_low, row.diff_high) == (pytest.approx(4 / 8), 1.0)
    row = report.row("m", "passkey", "YaRN", 8192)
    assert (row.figure, row.difference, row.pairs, row.verdict) == (0.5, 0.5, 4, None)
    row = report.row("m", "passkey", "RoPE", 8192)
    assert (row.figure, row.difference, row.pairs) == (1 / 8, None, 0)
    assert report.row("m", "passkey", "YaRN", 4096) is None


def test_differences_of_perplexity_are_perplexities_of_the_samples_that_both_have():
    row = Report.of(RECORDS, baseline="RoPE").row("m", "perplexity", "LaMPE", 8192)
    assert row.figure == pytest.approx(math.exp(4.5))
    assert row.difference == pytest.approx(math.exp(2.25) - math.exp(3.5))
    assert (row.pairs, row.unit, row.higher_is_better) == (2, "perplexity", False)
    assert row.shown_difference == "−23.63"
    # Two contexts are too few to call it better.
    assert (row.verdict, row.diff_high < 0) == (None, True)


@pytest.mark.parametrize(("kind", "verdict"), [("passkey", "worse"), ("perplexity", "better")])
def test_whether_less_is_better_is_up_to_the_task(kind, verdict):
    made = [record(kind, label, 4096, score, trial=t) for label, score in [("a", 1), ("b", 0)] for t in range(6)]
    assert Report.of(made, baseline="a").row("m", kind, "b", 4096).verdict == verdict


def test_without_a_baseline_nothing_is_compared():
    report = Report.of(RECORDS)
    assert {row.difference for row in report.rows} == {None}
    assert not any(grid.compared for grid in grids(report))
    assert "▲" not in markdown(report)


def test_models_stand_apart():
    other = [*passkeys("RoPE", 4096, "000000", model="n"), *passkeys("LaMPE", 4096, "000000", model="n")]
    report = Report.of([*RECORDS, *other], baseline="RoPE", models=["n"])
    assert report.models == ("n", "m")
    assert report.row("n", "passkey", "LaMPE", 4096).difference == 0
    assert report.row("m", "passkey", "LaMPE", 4096).difference == pytest.approx(-1 / 8)


def suite_records() -> list:
    scores = {("walk", 4096): (1.0, 0.9), ("swim", 4096): (0.8, 0.9), ("walk", 8192): (0.9, 0.9)}
    scores |= {("swim", 8192): (0.8, 0.85), ("walk", 16384): (1.0, 1.0)}
    made = [
        record(kind, "LaMPE", length, score, trial=trial)
        for (kind, length), values in scores.items()
        for trial, score in enumerate(values)
    ]
    return [*made, record("walk", "RoPE", 4096, 0.5), record("swim", "RoPE", 4096, 0.7)]


def test_a_suite_has_a_mean_where_all_its_tasks_have_a_figure():
    with suite():
        report = Report.of(suite_records(), baseline="RoPE")
        name = "ruler, mean of 2 tasks"
        assert report.suites == {name: ("walk", "swim")}
        figures = {(row.method, row.length): row.figure for row in report.suite_rows}
        assert figures == {
            ("LaMPE", 4096): pytest.approx((0.95 + 0.85) / 2),
            ("LaMPE", 8192): pytest.approx((0.9 + 0.825) / 2),
            ("RoPE", 4096): pytest.approx(0.6),
        }
        row = report.row("m", name, "LaMPE", 4096)
        assert (row.tasks, row.samples, row.contexts) == (2, 4, 4)
        # Of each task the worst and the best of two trials are drawn in a quarter of the draws.
        assert (row.low, row.high) == (pytest.approx((0.9 + 0.8) / 2), pytest.approx((1.0 + 0.9) / 2))
        # Both have trial 0 alone: no interval.
        assert (row.difference, row.diff_low, row.pairs) == (pytest.approx((0.5 + 0.1) / 2), None, 2)
        found = {item.method: (item.length, item.tasks, item.threshold) for item in report.effective}
        # 0.9 at 4,096 tokens and 0.8625 at 8,192 are above 0.856; at 16,384 one task is missing.
        assert found == {"LaMPE": (8192, 2, 0.856), "RoPE": (None, 2, 0.856)}
        assert [line for line in markdown(report).splitlines() if line.startswith("|")][:5] == [
            "| method | 4,096 | 8,192 | 16,384 | effective length |",
            "| --- | ---: | ---: | ---: | ---: |",
            "| LaMPE | **0.900 [0.850, 0.950] (4)** | 0.863 [0.850, 0.875] | - | 8,192 |",
            "| RoPE | 0.600 (2) | - | - | none |",
            "| samples (contexts) | 2-4 (2-4) | 4 (4) | - |  |",
        ]


def test_exact_matches_and_f1_of_leval_are_not_put_into_one_mean():
    scores = {"tpo": 1.0, "coursera": 0.5, "news_summ": 0.2, "tv_show_summ": 0.1, "patent_summ": 0.0}
    made = []
    for dataset, score in scores.items():
        item = record("leval", "RoPE", 4096, score, name=f"leval/{dataset}")
        made.append(item.model_copy(update={"task": {"kind": "leval", "dataset": dataset}}))
    report = Report.of(made[1:], tasks=[LEval(dataset="tpo", data=".")])
    assert report.suites == {
        "leval (closed), mean of 2 tasks": ("leval/tpo", "leval/coursera"),
        "leval (open), mean of 3 tasks": ("leval/news_summ", "leval/tv_show_summ", "leval/patent_summ"),
    }
    assert [row.figure for row in Report.of(made).suite_rows] == [pytest.approx(0.75), pytest.approx(0.1)]


def test_a_task_of_the_experiment_without_records_takes_the_mean_of_its_suite():
    with suite():
        report = Report.of([record("walk", "RoPE", 4096, 1.0)], tasks=[Walk(), Swim()], lengths=[4096])
        assert (report.tasks, report.suite_rows) == (("walk", "swim"), ())
        assert [note.text for note in report.notes if note.task is None] == [
            "1 of 2 figures are missing: no sample of them was measured."
        ]
        # One task alone is no suite.
        assert Report.of([record("walk", "RoPE", 4096, 1.0)]).suites == {}


def test_lengths_of_the_experiment_are_shown_even_where_nothing_was_reached():
    report = Report.of(RECORDS, lengths={"passkey": [2048, 4096]})
    assert report.lengths == {"passkey": (2048, 4096, 8192), "perplexity": (8192,)}
    assert "| RoPE | - | **1.000 [1.000, 1.000]** | 0.125" in markdown(report)


def lines(shown, width: int = 140) -> list[list[str]]:
    """The words of each line of a table that holds any."""
    file = io.StringIO()
    Console(file=file, width=width).print(shown)
    cells = (line.replace("┃", "│").split("│") for line in file.getvalue().splitlines() if set(line) & set("│┃"))
    return [[cell.strip() for cell in row[1:-1]] for row in cells]


def test_the_tables_of_the_terminal():
    passkey, perplexity = tables(Report.of(RECORDS, baseline="RoPE", labels=["RoPE", "YaRN"]))
    assert passkey.title == "m: passkey (score, higher is better)"
    assert lines(passkey) == [
        ["tokens", "4,096", "8,192"],
        ["RoPE", "1.000 [1.000, 1.000]", "0.125 [0.000, 0.500] (8)"],
        ["YaRN", "-", "0.500 [0.000, 1.000] (4)"],
        ["LaMPE", "0.875 [0.500, 1.000]", "1.000 [1.000, 1.000] ▲ (8)"],
        ["samples (contexts)", "8 (8)", "4-8 (4-8)"],
    ]
    bold = [["[bold]" in cell for cell in column.cells] for column in passkey.columns[1:]]
    assert bold == [[True, False, False], [False, False, True]]
    assert lines(perplexity)[1:] == [
        ["RoPE", "33.12 [20.09, 54.60] (2)"],
        ["YaRN", "nan (2)"],
        ["LaMPE", "90.02 [7.39, 8,103] (3)"],
        ["samples (contexts)", "2-3 (2-3)"],
    ]
    assert [["[bold]" in cell for cell in column.cells] for column in perplexity.columns[1:]] == [[True, False, False]]


def test_markdown_shows_labels_as_they_are():
    shown = markdown(Report.of([record("passkey", "a|b *c* <i>\n[d](e)", 4096, 1.0)], title="# One_two"))
    assert r"| a\|b \*c\* \<i\> \[d\](e) | 1.000 |" in shown
    assert shown.startswith("# \\# One\\_two\n")


def test_markdown_of_a_task(tmp_path: Path):
    report = Report.of(RECORDS[:32], baseline="RoPE", window=4096, title="Two methods")
    assert markdown(report) == (
        "# Two methods\n\n"
        "In brackets: 95 % intervals, by 2,000 bootstrap draws of whole contexts. The best figure of a column is bold. "
        "The last row says how many samples figures rest on, and from how many contexts those come. "
        "▲ better, ▼ worse than RoPE on the samples that both have: the interval of the difference excludes zero. "
        "By chance alone, about one comparison in twenty would.\n\n\n"
        "## m (trained window: 4,096 tokens)\n\n"
        "### passkey\n\n"
        "score, higher is better\n\n"
        "| method | 4,096 | 8,192 |\n"
        "| --- | ---: | ---: |\n"
        "| RoPE | **1.000 [1.000, 1.000]** | 0.125 [0.000, 0.500] |\n"
        "| LaMPE | 0.875 [0.500, 1.000] | **1.000 [1.000, 1.000] ▲** |\n"
        "| samples (contexts) | 8 (8) | 8 (8) |\n"
    )


def test_the_files(tmp_path: Path):
    report = Report.of(RECORDS, baseline="RoPE", window={"m": 4096}, title="Three methods", about={"torch": "2"})
    paths = write_summary(report, tmp_path / "new")
    assert [path.name for path in paths] == ["summary.json", "summary.csv", "summary.md"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["summary.csv", "summary.json", "summary.md"]
    content = json.loads(paths[0].read_text())
    assert (content["title"], content["about"], content["windows"]) == ("Three methods", {"torch": "2"}, {"m": 4096})
    assert content["bootstrap"] == {"confidence": 0.95, "resamples": 2000, "seed": 0}
    broken = next(row for row in content["rows"] if (row["method"], row["task"]) == ("YaRN", "perplexity"))
    assert (broken["figure"], broken["nonfinite"], broken["samples"]) == (None, 1, 2)
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert len(rows) == len(report.rows) == 8
    assert list(rows[0])[:14] == [
        *("model", "task", "method", "length", "figure", "low", "high", "samples", "contexts"),
        *("difference", "diff_low", "diff_high", "pairs", "unit"),
    ]
    assert next(row for row in rows if row["method"] == "LaMPE" and row["length"] == "4096") == {
        **{"model": "m", "task": "passkey", "method": "LaMPE", "length": "4096", "figure": "0.875", "low": "0.5"},
        **{"high": "1.0", "samples": "8", "contexts": "8", "difference": "-0.125", "diff_low": "-0.5"},
        **{"diff_high": "0.0", "pairs": "8", "unit": "score", "tasks": "1", "nonfinite": "0", "verdict": ""},
    }
    assert next(row["figure"] for row in rows if (row["method"], row["task"]) == ("YaRN", "perplexity")) == "nan"
    assert paths[2].read_text() == markdown(report)
    before = [path.read_bytes() for path in paths]
    again = Report.of(RECORDS, baseline="RoPE", window={"m": 4096}, title="Three methods", about={"torch": "2"})
    assert [path.read_bytes() for path in write_summary(again, tmp_path / "new")] == before


def test_a_file_that_cannot_be_replaced_stays_whole(tmp_path: Path, monkeypatch):
    paths = write_summary(Report.of(RECORDS), tmp_path)
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_summary(Report.of(RECORDS[:1]), tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert len(list(tmp_path.iterdir())) == 3


def test_notes_say_what_is_missing_mixed_and_thin():
    notes = {task: [] for task in (None, "passkey", "perplexity")}
    for note in Report.of(RECORDS, baseline="RoPE").notes:
        notes[note.task].append(note.text)
    assert notes[None] == ["1 of 9 figures are missing: no sample of them was measured."]
    uneven = (
        "At 8,192 tokens the methods rest on different numbers of samples, in brackets; only differences to the "
        "baseline compare the same ones."
    )
    few = (
        "Figures rest on {} contexts: with fewer than 6 the intervals are too narrow, and no difference is called one."
    )
    assert notes["passkey"] == [few.format("4 to 8"), uneven]
    broken = "YaRN on m at 8,192 tokens: 1 of 2 scores are no finite number, so neither is the figure."
    assert notes["perplexity"] == [broken, few.format("2 to 3"), uneven]


def test_notes_say_which_settings_are_mixed():
    def noted(*changes: dict) -> list[str]:
        made = [record("passkey", "RoPE", 4096, 1.0, trial=trial, **change) for trial, change in enumerate(changes)]
        made += [record("passkey", "RoPE", 8192, 1.0, trial=trial) for trial in range(10)]
        return [note.text for note in Report.of(made).notes if "contexts" not in note.text]

    assert noted({}, {}) == []
    assert noted({"setting": {"dtype": "bfloat16"}}, {}) == [
        "The records of m were made with several values of dtype: bfloat16, float32."
    ]
    factor = {"setting": {"positional": {"kind": "rope", "factor": 2}}}
    # A method may be set for each length, but not in two ways at one.
    assert noted(factor, factor) == []
    assert noted(factor, {}) == ["RoPE on m at 4,096 tokens mixes 2 configs of the method."]
    assert noted({"seed": 1}, {}) == ["The records mix 2 configs of this task."]


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match=r"baseline = 'Rope': no such method.*methods: RoPE, LaMPE, YaRN"):
        Report.of(RECORDS, baseline="Rope")
    with pytest.raises(ConfigError, match="'x' is a task of kind 'passkey' and one of kind 'perplexity'"):
        Report.of([record(kind, "RoPE", 4096, 1.0, name="x") for kind in ("passkey", "perplexity")])


def test_a_report_of_nothing(tmp_path: Path):
    report = Report.of([], labels=["RoPE"], baseline="RoPE", title="Nothing yet")
    assert (report.rows, tables(report), report.notes) == ((), [], ())
    assert write_summary(report, tmp_path)[2].read_text().startswith("# Nothing yet\n")
