from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console

from examples import demo
from examples.demo_screen import score_line
from examples.demo_words import missing, what_it_shows
from lampe.evaluation import Passkey, Record, Setting, Summary, registry
from tests.evaluation.tiny import checkpoint, prose

LENGTHS = (160, 256, 320)
LAMPE = {"kind": "lampe", "head": 16, "tail": 8, "span": 64}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch) -> demo.Settings:
    """The demo on a model of a trained window of 128 tokens."""
    monkeypatch.setitem(demo.METHODS, "LaMPE", LAMPE)
    checkpoint(tmp_path / "model")
    (tmp_path / "text.txt").write_text(prose(150))
    return demo.Settings(
        text=str(tmp_path / "text.txt"),
        out=str(tmp_path / "out"),
        minutes=0,
        checkpoint=str(tmp_path / "model"),
        lengths=LENGTHS,
        passkey_lengths=LENGTHS[1:],
        trials=2,
        scored=32,
    )


def run(settings: demo.Settings) -> tuple[list[Record], str]:
    screen = io.StringIO()
    records = demo.run(settings, Console(file=screen, width=300))
    return records, screen.getvalue()


@pytest.mark.slow
def test_without_a_limit_everything_is_measured(settings, recwarn):
    records, screen = run(settings)
    contexts = [(r.setting.label, r.length, r.trial) for r in records if r.kind == "perplexity"]
    keys = [(r.setting.label, r.length, r.trial, r.facts["depth"]) for r in records if r.kind == "passkey"]
    assert len(contexts) == len(set(contexts)) == 3 * 3 * 2
    assert len(keys) == len(set(keys)) == 3 * 2 * 3 * 2
    losses = [r.score for r in records if r.kind == "perplexity" and (r.setting.label, r.length) == ("LaMPE", 320)]
    shown = f"{math.exp(sum(losses) / 2):,.0f}"
    assert "At 320 tokens, 2.5 times the trained window, RoPE has perplexity" in screen
    assert f"and LaMPE has perplexity {shown}.\n" in screen
    assert "samples" in screen
    assert "fitted into the time" not in screen
    assert "Largest resident memory" in screen
    assert not [warning for warning in recwarn if "outside the trained window" in str(warning.message)]
    content = json.loads((Path(settings.out) / "results.json").read_text())
    assert [Record.model_validate(item) for item in content["records"]] == records
    assert content["settings"]["lengths"] == list(LENGTHS)
    assert content["peak_memory_bytes"] > 10**8
    for picture in ("perplexity.png", "passkey.png"):
        assert imread(Path(settings.out) / picture).std() > 0.05


def test_without_time_nothing_is_begun(settings):
    records, screen = run(demo.Settings(**{**vars(settings), "minutes": 1e-6}))
    assert records == []
    assert "0 of 54 scores fitted into the time" in screen
    assert "No perplexity was reached in the time.\nNo passkey was reached in the time." in screen
    assert (Path(settings.out) / "perplexity.png").exists()


def test_ctrl_c_keeps_what_there_is(settings, monkeypatch):
    lines = iter(range(4))

    def interrupted(record: Record) -> str:
        if next(lines, None) is None:
            raise KeyboardInterrupt
        return "a line"

    monkeypatch.setattr(demo, "score_line", interrupted)
    records, screen = run(settings)
    assert len(records) == 5
    assert "stopped by hand" in screen
    assert "5 of 54 scores fitted into the time" in screen


def test_the_order_of_the_work(settings):
    from lampe.evaluation import Runner
    from lampe.evaluation.runner import block_work
    from lampe.llm import LLM

    blocks = demo.plan_blocks(settings, Runner(LLM.load(settings.checkpoint), "x"))
    order = [[(s.task.config.kind, s.length, s.trial, s.facts.get("depth")) for s in block] for block in blocks]
    first = [
        [("perplexity", 160, 0, None)],
        [("perplexity", 320, 0, None), ("passkey", 320, 0, 0.9)],
        [("perplexity", 256, 0, None), ("passkey", 256, 0, 0.9)],
        *([("passkey", length, 0, depth)] for depth in (0.5, 0.1) for length in (256, 320)),
    ]
    assert order[:7] == first
    assert [[(kind, length, 0, depth) for kind, length, _, depth in block] for block in order[7:]] == [
        [sample for block in first[:3] for sample in block],
        *first[3:],
    ]
    # The deepest key comes nearly for free.
    whole, key = block_work(blocks[1])
    assert (whole.tokens, key.tokens) == (320, 320 - blocks[1][1].facts["at"])


def summary(kind: str, **figures: dict[int, tuple[float, ...]]) -> Summary:
    scores = {(label, (n, None)): values for label, row in figures.items() for n, values in row.items()}
    lengths = sorted({length for row in figures.values() for length in row})
    return Summary(kind, registry.get(kind), tuple(figures), tuple((length, None) for length in lengths), scores)


def test_the_words_follow_from_the_numbers():
    log = math.log
    curves = summary(
        "perplexity",
        RoPE={2048: (log(9),), 8192: (log(8),), 16384: (log(1000), log(1000))},
        YaRN={2048: (log(9),), 8192: (log(9),), 16384: (log(12),)},
        LaMPE={2048: (log(8.5),), 8192: (log(8.2),), 16384: (log(8.1),)},
    )
    found = summary(
        "passkey",
        RoPE={8192: (1.0, 0.0), 16384: (0.0, 0.0)},
        YaRN={16384: (1.0, 0.0)},
        LaMPE={8192: (1.0, 1.0), 16384: (1.0, 1.0)},
    )
    assert list(what_it_shows(curves, found, 8192)) == [
        "At 16,384 tokens, 2 times the trained window, RoPE collapses (perplexity 1,000, 8.00 at 8,192), "
        "YaRN slips (perplexity 12.00, 9.00 at 8,192) and LaMPE holds (perplexity 8.10, 8.20 at 8,192).",
        "Of the passkeys hidden in 16,384 tokens RoPE finds 0 of 2, YaRN finds 1 of 2 and LaMPE finds 2 of 2; "
        "in 8,192, inside the window, RoPE finds 1 of 2 and LaMPE finds 2 of 2.",
    ]


def test_the_words_for_a_part_of_the_numbers():
    curves = summary("perplexity", RoPE={16384: (math.log(5),)}, LaMPE={})
    empty = Summary("passkey", Passkey, ("RoPE",), ((8192, None),), {})
    assert list(what_it_shows(curves, empty, 32768)) == [
        "At 16,384 tokens, inside the trained window, RoPE has perplexity 5.00.",
        "No passkey was reached in the time.",
    ]
    assert list(missing([], 0, 3, (1, 2), ())) == []


def test_an_answer_is_shown_as_it_is():
    record = Record.model_construct(
        task={"kind": "passkey"},
        setting=Setting.model_construct(label="RoPE"),
        length=320,
        facts={"depth": 0.9},
        references=("12345",),
        output=" [bold]\n12",
        score=0.0,
        seconds=1.0,
    )
    screen = io.StringIO()
    Console(file=screen, width=100).print(score_line(record))
    assert screen.getvalue() == "  RoPE      320 tokens  key 12345 at 90%: '[bold] 12' ✗  1.0 s\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--minutes", "-1"], "--minutes -1.0: expected 0 (no limit) or more"),
        (["--text", "nowhere.txt"], "text nowhere.txt: there is no such file or folder"),
        (["--out", __file__], f"--out {__file__}: that is a file; expected a folder"),
        (["--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str, capsys):
    assert demo.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
