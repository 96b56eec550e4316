from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from lampe.evaluation import Record, Setting, summarise, table, write_json


def record(kind: str, label: str, length: int, score: float, **facts) -> Record:
    setting = Setting(
        label=label,
        positional={"kind": "rope"},
        model="m",
        dtype="float32",
        device="cpu",
        attention={"kind": "auto"},
        prefill_chunk=1,
        lampe="0",
        torch="0",
    )
    return Record(
        name=kind,
        task={"kind": kind},
        setting=setting,
        length=length,
        trial=0,
        facts=facts,
        tokens=length,
        prompt_sha256="",
        score=score,
        seconds=1.0,
    )


RECORDS = [
    record("perplexity", "RoPE", 8192, math.log(8)),
    record("perplexity", "LaMPE", 8192, math.log(9)),
    record("perplexity", "RoPE", 16384, math.log(1000)),
    record("perplexity", "RoPE", 16384, math.log(4000)),
    record("perplexity", "LaMPE", 16384, math.log(7)),
    record("passkey", "LaMPE", 16384, 1.0, depth=0.5),
    record("passkey", "LaMPE", 16384, 0.0, depth=0.5),
    record("passkey", "LaMPE", 16384, 1.0, depth=0.1),
    record("passkey", "RoPE", 16384, 0.0, depth=0.1),
]


def lines(shown, width: int = 100) -> list[list[str]]:
    """The words of each line of a table that holds any."""
    file = io.StringIO()
    Console(file=file, width=width).print(shown)
    cells = (line.replace("┃", "│").split("│") for line in file.getvalue().splitlines() if set(line) & set("│┃"))
    return [[cell.strip() for cell in row[1:-1]] for row in cells]


def test_figures_rest_on_all_scores_of_a_cell():
    summary = summarise(RECORDS, "perplexity")
    assert (summary.labels, summary.lengths) == (("RoPE", "LaMPE"), (8192, 16384))
    assert summary.value("RoPE", 16384) == pytest.approx(2000)
    assert (summary.shown("RoPE", 16384), summary.count("RoPE", 16384)) == ("2,000", 2)
    assert (summary.value("YaRN", 8192), summary.shown("YaRN", 8192), summary.count("YaRN", 8192)) == (None, "-", 0)


def test_a_table_says_how_many_samples_a_figure_rests_on():
    summary = summarise(RECORDS, "perplexity", labels=("RoPE", "YaRN", "LaMPE"), lengths=(4096,))
    assert lines(table(summary)) == [
        ["tokens", "4,096", "8,192", "16,384"],
        ["RoPE", "-", "8.00", "2,000 (2)"],
        ["YaRN", "-", "-", "-"],
        ["LaMPE", "-", "9.00", "7.00 (1)"],
        ["samples", "-", "1", "1-2"],
    ]


def test_the_best_figure_of_a_column_is_bold():
    cells = [list(column.cells) for column in table(summarise(RECORDS[:5], "perplexity")).columns]
    assert cells[1:] == [["[bold]8.00[/bold]", "9.00"], ["2,000 (2)", "[bold]7.00 (1)[/bold]"]]
    cells = [list(column.cells) for column in table(summarise(RECORDS, "passkey")).columns]
    assert cells == [["LaMPE", "RoPE"], ["[bold]2/3 (3)[/bold]", "0/1 (1)"]]


def test_a_label_may_hold_brackets():
    summary = summarise([record("perplexity", "longrope:short_factor=[1.0]", 4096, 0.0)], "perplexity")
    assert lines(table(summary))[1] == ["longrope:short_factor=[1.0]", "1.00"]


def test_figures_split_by_a_fact():
    summary = summarise(RECORDS, "passkey", labels=("RoPE",), lengths=(8192, 16384), by="depth", values=(0.1, 0.5, 0.9))
    assert summary.columns == tuple((length, depth) for length in (8192, 16384) for depth in (0.1, 0.5, 0.9))
    assert [summary.shown("LaMPE", 16384, depth) for depth in (0.1, 0.5, 0.9)] == ["1/1", "1/2", "-"]
    assert lines(table(summary))[1] == ["tokens", "10%", "50%", "90%", "10%", "50%", "90%"]


def test_the_file_holds_figures_and_records(tmp_path: Path):
    path = tmp_path / "new" / "results.json"
    broken = [record("perplexity", "RoPE", 4096, math.nan), record("perplexity", "RoPE", 2048, math.inf)]
    write_json(path, [*RECORDS, *broken], {"settings": {"minutes": 9}})
    content = json.loads(path.read_text())
    assert list(content) == ["settings", "figures", "records"]
    assert content["settings"] == {"minutes": 9}
    assert content["figures"]["perplexity"]["LaMPE"] == {
        "8192": {"value": pytest.approx(9), "samples": 1},
        "16384": {"value": pytest.approx(7), "samples": 1},
    }
    assert content["figures"]["passkey"]["LaMPE"] == {"16384": {"value": pytest.approx(2 / 3), "samples": 3}}
    assert content["figures"]["perplexity"]["RoPE"]["2048"] == {"value": None, "samples": 1}
    assert [Record.model_validate(item) for item in content["records"][:9]] == RECORDS
    assert [item["score"] for item in content["records"][9:]] == [None, None]
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_a_file_that_cannot_be_replaced_stays_whole(tmp_path: Path, monkeypatch):
    path = tmp_path / "results.json"
    write_json(path, RECORDS)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_json(path, RECORDS[:1])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
