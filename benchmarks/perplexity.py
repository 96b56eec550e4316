"""Perplexity of the demo's model past its trained window under every method: `python -m benchmarks.perplexity`.

A figure for each method and length, of the same last tokens of the same text; every method is set for the longest
length. Each score is written as it is made, and a run that is started again goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.progress import track

from examples.demo import MODEL, model_folder
from lampe import LLM
from lampe.cli.specs import spec_text
from lampe.evaluation import Perplexity, Record, Runner, Sample, summarise, table, write_json
from lampe.positional import PositionWarning, ProfileWarning

# LongRoPE's factors come from a search that was never made for this model; these rise evenly from 1 to 2.
LONGROPE = {
    "kind": "longrope",
    "factor": 2,
    "short_factor": [1.0] * 32,
    "long_factor": [round(1 + k / 31, 4) for k in range(32)],
}
LAMPE = {"kind": "lampe", "head": 512, "span": 4096}
METHODS: dict[str, Any] = {
    **{name: name for name in ("rope", "pi", "ntk", "dynamic-ntk", "ntk-by-parts", "yarn", "dynamic-yarn", "llama3")},
    "longrope, factors by hand": LONGROPE,
    **{name: name for name in ("hope", "nope", "rerope", "leaky-rerope", "self-extend", "dca", "string", "dpe")},
    **{name: name for name in ("streaming-llm", "lm-infinite")},
    "rerope, log-n": {"kind": "rerope", "log_n": True},
    "leaky-rerope, k = 16": {"kind": "leaky-rerope", "factor": 16},
    "self-extend, G = 8": {"kind": "self-extend", "group": 8},
    "string, A = 1": {"kind": "string", "temperature": 1},
    "lampe, default curve": "lampe",
    "lampe, h = 512, U = 4096": LAMPE,
    "lampe, no tail": {**LAMPE, "tail": 0},
    "lampe, no head": {**LAMPE, "head": 0},
    "lampe, A = 1": {**LAMPE, "temperature": 1},
    "lampe, fractional": {**LAMPE, "fractional": True},
    "lampe, paper's slope": {**LAMPE, "variant": "paper"},
    "lampe, as released": {**LAMPE, "variant": "release"},
}
"""By the name that tables show."""


def fitted(llm: LLM, length: int) -> dict[str, LLM]:
    """The model under every method set for `length` tokens, by the name to show: its own, or the spec."""
    models = {}
    for label, spec in METHODS.items():
        method = llm.with_positional(spec).positional.for_length(length)
        models[spec_text(method.config) if label == spec else label] = llm.with_positional(method)
    return models


def measured(path: Path) -> list[Record]:
    """The records of an earlier run."""
    if not path.exists():
        return []
    return [Record.model_validate(record) for record in json.loads(path.read_text(encoding="utf-8"))["records"]]


def missing(runners: list[Runner], samples: list[Sample], records: list[Record]) -> Iterator[tuple[Runner, Sample]]:
    """What no record is of, method by method."""
    known = {(record.setting.label, record.length, record.trial) for record in records}
    for runner in runners:
        for sample in samples:
            if (runner.label, sample.length, sample.trial) not in known:
                yield runner, sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", default="12288,16384", help="tokens, separated by commas")
    parser.add_argument("--places", type=int, default=1, help="places of the text")
    parser.add_argument("--last", type=int, default=512, help="tokens that are scored")
    parser.add_argument("--out", type=Path, default=Path("out/bench/perplexity.json"))
    parser.add_argument("--figures", type=Path, help="write the figures alone, for docs/methods")
    options = parser.parse_args()
    warnings.simplefilter("ignore", PositionWarning)
    warnings.simplefilter("ignore", ProfileWarning)
    lengths = sorted(map(int, options.lengths.split(",")))
    llm = LLM.load(model_folder(), dtype="bfloat16")
    runners = [Runner(model, label, model=MODEL) for label, model in fitted(llm, lengths[-1]).items()]
    task = Perplexity(tokens=options.last, places=options.places)
    samples = list(task.samples(runners[0].tokenizer, lengths))
    about = {"model": MODEL, "dtype": "bfloat16", "places": options.places, "last": options.last}
    records = measured(options.out)
    todo = list(missing(runners, samples, records))
    for runner, sample in track(todo, "measuring", console=Console(stderr=True)):
        records.append(runner.run(sample))
        runner.forget()
        write_json(options.out, records, about)
    summary = summarise(records, "perplexity", labels=[runner.label for runner in runners], lengths=lengths)
    Console().print(table(summary, title=f"{MODEL}: perplexity of the last {options.last} tokens"))
    if options.figures:
        rows = {label: {str(n): summary.value(label, n) for n in lengths} for label in summary.labels}
        options.figures.write_bytes(to_json({**about, "perplexity": rows}, indent=1) + b"\n")


if __name__ == "__main__":
    main()
