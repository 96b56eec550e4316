"""`lampe eval perplexity`, held against the logits of the API."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lampe.cli import evaluate
from lampe.errors import LampeError
from lampe.evaluation import Record
from lampe.llm import LLM
from tests.cli.chat_model import Lampe

METHODS = "checkpoint,yarn:factor=4,lampe:head=8:tail=4:span=60"
ARGUMENTS = ("--lengths", "160,64", "--methods", METHODS, "--places", 2, "--last", 16)


def loss(llm: LLM, text: str, end: int, length: int, last: int) -> float:
    """Mean loss of the last tokens of a context, by torch alone."""
    ids = llm.tokenizer.encode(text.strip(), add_special=False)[end - length : end]
    log_probabilities = llm.logits([ids])[0].double().log_softmax(dim=-1)
    scored = range(length - last, length)
    return -sum(float(log_probabilities[k - 1, ids[k]]) for k in scored) / last


@pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")
def test_figures_are_those_of_the_api(lampe: Lampe, checkpoint: Path, llm: LLM, prose: Path) -> None:
    result = lampe("eval", "perplexity", checkpoint, "--text", prose, *ARGUMENTS, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["lengths"] == [64, 160]
    methods: dict[str, Any] = {
        "checkpoint": None,
        "yarn:factor=4.0": {"kind": "yarn", "factor": 4},
        "lampe:head=8:tail=4:span=60": {"kind": "lampe", "head": 8, "tail": 4, "span": 60},
    }
    assert list(document["perplexity"]) == list(methods)
    assert len(document["records"]) == 3 * 2 * 2
    ends = sorted({record["facts"]["end"] for record in document["records"]})
    text = prose.read_text(encoding="utf-8")
    for label, spec in methods.items():
        bound = llm.with_positional(spec)
        for length in (64, 160):
            expected = math.exp(sum(loss(bound, text, end, length, 16) for end in ends) / 2)
            assert document["perplexity"][label][str(length)] == pytest.approx(expected, rel=1e-4)


def test_the_table_and_the_files(lampe: Lampe, checkpoint: Path, prose: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    result = lampe("eval", "perplexity", checkpoint, "--text", prose, *ARGUMENTS, "--out", out)
    assert result.exit_code == 0
    written = json.loads((out / "perplexity.json").read_text(encoding="utf-8"))
    assert (out / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in out.iterdir()) == ["perplexity.json", "perplexity.png"]
    cells = {
        row[1]: row[2:-1] for line in result.stdout.splitlines() if len(row := [c.strip() for c in line.split("│")]) > 3
    }
    figures = written["figures"]["perplexity"]
    assert list(figures) == ["checkpoint", "yarn:factor=4.0", "lampe:head=8:tail=4:span=60"]
    for label, by_length in figures.items():
        shown = [float(cell.replace(",", "")) for cell in cells[label]]
        assert shown == pytest.approx([by_length[n]["value"] for n in ("64", "160")], rel=0.01)
    assert result.stdout.splitlines()[-1] == f"wrote {out / 'perplexity.json'} and {out / 'perplexity.png'}"


def test_default_is_what_the_checkpoint_was_made_with(lampe: Lampe, checkpoint: Path, prose: Path) -> None:
    arguments = ("--text", prose, "--lengths", "64", "--places", 1, "--last", 8, "--json")
    document = json.loads(lampe("eval", "perplexity", checkpoint, *arguments).stdout)
    assert {record["setting"]["positional"]["kind"] for record in document["records"]} == {"rope"}
    assert list(document["perplexity"]) == ["checkpoint"]


def test_ctrl_c_keeps_what_was_measured(
    lampe: Lampe, checkpoint: Path, prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = evaluate.evaluate

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Record]:
        records = original(*arguments, **options)
        yield next(records)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "evaluate", interrupted)
    arguments = ("--text", prose, "--lengths", "64", "--places", 2, "--last", 8, "--json")
    result = lampe("eval", "perplexity", checkpoint, *arguments)
    assert result.exit_code == 130
    assert result.stderr == "interrupted: figures of what was measured so far\n"
    document = json.loads(result.stdout)
    assert (document["interrupted"], len(document["records"])) == (True, 1)


def test_methods_are_labelled_by_what_they_are() -> None:
    methods = evaluate.read_methods(["checkpoint", "rope", '{"kind": "yarn", "factor": 2}'])
    assert list(methods) == ["checkpoint", "rope", "yarn:factor=2.0"]
    assert methods["checkpoint"] is None
    assert list(evaluate.read_methods([])) == ["checkpoint"]
    with pytest.raises(LampeError) as caught:
        evaluate.read_methods(["yarn:factor=4", "yarn:factor=4.0"])
    assert str(caught.value) == "method 'yarn:factor=4.0' is named twice"


def test_lengths() -> None:
    assert evaluate.read_lengths("2048, 512,2048,") == [512, 2048]
    for text in ("", "a", "0", "1,-2", "1.5", "²"):
        with pytest.raises(LampeError) as caught:
            evaluate.read_lengths(text)
        expected = "expected whole numbers of tokens with commas between, such as 2048,8192"
        assert str(caught.value) == f"lengths = {text!r}: {expected}"


def test_methods_are_set_for_a_length(lampe: Lampe, checkpoint: Path, llm: LLM, prose: Path) -> None:
    """The model's window is 128 tokens; at 160 no method leaves it."""
    arguments = ("--text", prose, "--lengths", 160, "--places", 1, "--last", 16, "--for-length", 160)
    methods = "checkpoint,pi,self-extend:group=8,string"
    result = lampe("eval", "perplexity", checkpoint, *arguments, "--methods", methods, "--json")
    document = json.loads(result.stdout)
    assert list(document["perplexity"]) == ["rope", "pi:factor=1.25", "self-extend", "string:shift=53"]
    assert result.stderr.count("outside the trained window") == 1, "only plain RoPE"
    (end,) = {record["facts"]["end"] for record in document["records"]}
    bound = llm.with_positional({"kind": "pi", "factor": 1.25})
    expected = math.exp(loss(bound, prose.read_text(encoding="utf-8"), end, 160, 16))
    assert document["perplexity"]["pi:factor=1.25"]["160"] == pytest.approx(expected, rel=1e-4)
    twice = lampe("eval", "perplexity", checkpoint, *arguments, "--methods", "pi,pi:factor=1.25")
    assert twice.exit_code == 2
    assert twice.stderr == "error: method 'pi:factor=1.25' is named twice, once by what --for-length 160 sets\n"
