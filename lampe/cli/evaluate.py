"""`lampe eval`: measure a checkpoint under several methods."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python

from lampe import positional
from lampe.cli import options
from lampe.cli.console import INTERRUPTED, print_json, progress_bar, stderr, stdout
from lampe.cli.options import load_llm
from lampe.cli.specs import parse_spec, spec_text, split_specs
from lampe.config import PositionalConfig
from lampe.errors import ConfigError, MissingExtraError
from lampe.evaluation import Perplexity, Record, Runner, Sample, evaluate, read_text, summarise, table, write_json
from lampe.evaluation.compare.experiment import CHECKPOINT_METHOD
from lampe.files import expanded
from lampe.llm import LLM

app = typer.Typer(
    name="eval", help="Measure a checkpoint at several lengths, under several methods.", invoke_without_command=True
)


@app.callback()
def _eval(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@dataclass
class Run:
    """What was measured so far.

    Attributes:
        interrupted: whether Ctrl-C ended it.
    """

    records: list[Record]
    interrupted: bool = False


@app.command()
def perplexity(
    checkpoint: options.Checkpoint,
    lengths: Annotated[str, typer.Option(metavar="N,N,...", help="Context lengths in tokens.")] = "2048,4096,8192",
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD,...",
            help="Methods as name or name:field=value:...; default: checkpoint, which is what it was made with.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="One more method, also as a JSON object or a .json file; repeatable."),
    ] = None,
    for_length: options.ForLength = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="A file, a folder of .txt, or a name: python (default), python-library."),
    ] = None,
    places: Annotated[int, typer.Option(metavar="N", help="Places of the text at which contexts end.")] = 3,
    last: Annotated[int, typer.Option(metavar="N", help="Score the last N tokens of each context.")] = 256,
    out: Annotated[
        Path | None,
        typer.Option(parser=expanded, metavar="FOLDER", help="Write perplexity.json and perplexity.png there."),
    ] = None,
    as_json: options.Json = False,
    dtype: options.Dtype = "auto",
    device: options.Device = "auto",
    attention: options.Attention = "auto",
) -> None:
    """Perplexity of the last tokens of a text, against how much of the text comes before them.

    The same tokens are scored at every length, under every method.

    [dim]lampe eval perplexity ./model --lengths 2048,8192 --methods rope,yarn:factor=4,lampe:head=512:span=4096[/dim]
    """
    chosen = read_methods([*split_specs(methods or ""), *(method or [])])
    wanted = read_lengths(lengths)
    task = Perplexity(text=text, tokens=last, places=places)
    if text is not None:
        read_text(text)
    if out is not None:
        _check_out(out)
    llm = load_llm(checkpoint, dtype=dtype, device=device, attention=attention)
    if for_length is not None:
        chosen = _fitted(chosen.values(), llm, for_length)
    run = _measure(llm, chosen, task, wanted, checkpoint)
    summary = summarise(run.records, "perplexity", labels=list(chosen), lengths=wanted)
    about = {"checkpoint": checkpoint, "lengths": wanted, "interrupted": run.interrupted}
    if out is not None:
        from lampe.plots import plot_curves

        write_json(out / "perplexity.json", run.records, about)
        title = f"{Path(checkpoint).name}: perplexity of the last {last} tokens"
        plot_curves(summary, out / "perplexity.png", title=title, window=llm.config.rope.original_window)
    if as_json:
        figures = {label: {str(n): summary.value(label, n) for n in wanted} for label in summary.labels}
        document = {**about, "perplexity": figures, "records": [record.model_dump() for record in run.records]}
        print_json(to_jsonable_python(document, inf_nan_mode="null"))
    else:
        stdout().print(table(summary, title=f"perplexity, last {last} tokens"))
        if out is not None:
            typer.echo(f"wrote {out / 'perplexity.json'} and {out / 'perplexity.png'}")
    if run.interrupted:
        raise typer.Exit(INTERRUPTED)


def _fitted(configs: Iterable[PositionalConfig | None], llm: LLM, length: int) -> dict[str, PositionalConfig | None]:
    """Methods set for inputs of `length` tokens, by label.

    Raises:
        ConfigError: two of them are the same for that length.
    """
    fitted: dict[str, PositionalConfig | None] = {}
    for config in configs:
        method = llm.with_positional(config).positional.for_length(length)
        label = spec_text(method.config)
        if label in fitted:
            raise ConfigError(f"method {label!r} is named twice, once by what --for-length {length} sets")
        fitted[label] = method.config
    return fitted


def read_methods(texts: Sequence[str]) -> dict[str, PositionalConfig | None]:
    """Methods by the label that tables show; None is what the checkpoint was made with.

    Raises:
        LampeError: one of them cannot be understood, or comes twice.
    """
    methods: dict[str, PositionalConfig | None] = {}
    for text in texts or [CHECKPOINT_METHOD]:
        config = None if text == CHECKPOINT_METHOD else parse_spec(positional.registry, text)
        assert config is None or isinstance(config, PositionalConfig)
        label = CHECKPOINT_METHOD if config is None else spec_text(config)
        if label in methods:
            raise ConfigError(f"method {label!r} is named twice")
        methods[label] = config
    return methods


def read_lengths(text: str) -> list[int]:
    """Ascending lengths from "2048,8192".

    Raises:
        ConfigError: not a list of positive whole numbers.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"lengths = {text!r}: expected whole numbers of tokens with commas between, such as 2048,8192"
        )
    return sorted({int(part) for part in parts})


def _measure(
    llm: LLM, methods: dict[str, PositionalConfig | None], task: Perplexity, lengths: list[int], checkpoint: str
) -> Run:
    run = Run([])
    with progress_bar() as progress:
        bar = progress.add_task("tokenising", total=len(methods) * len(lengths) * task.config.places)

        def started(runner: Runner, sample: Sample) -> None:
            progress.update(bar, description=f"{runner.label}, {sample.length:,} tokens")

        specs: dict[str, Any] = dict(methods)
        try:
            for record in evaluate(llm, specs, task, lengths, model=checkpoint, started=started):
                run.records.append(record)
                progress.advance(bar)
        except KeyboardInterrupt:
            if not run.records:
                raise
            run.interrupted = True
    if run.interrupted:
        stderr.print("interrupted: figures of what was measured so far", style="dim")
    return run


def _check_out(folder: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plots", "--out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file: a folder would be accepted")
