"""The whole model in lampe against transformers, on the same weights: `python -m benchmarks.model`.

transformers runs its sdpa attention and the cache that its `generate` uses; both compute the logits of the last token
alone. Ratios are of speed: above 1 is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import torch

from benchmarks.harness import command_line, counts, measure, parse
from benchmarks.pictures import bars, drawing
from benchmarks.report import Report
from benchmarks.subject import (
    LAMPE,
    cache_argument,
    lampe_cache,
    lampe_prefill,
    transformers_cache,
    transformers_model,
    transformers_prefill,
)
from examples.demo import MODEL, model_folder
from lampe import LLM

OTHER = "transformers"
LABELS = {"rope": "RoPE", "lampe": "LaMPE"}
"""What lampe runs, by its name in the picture."""

DECODING = ((1, 512), (1, 8192), (8, 512))
"""Rows, and tokens that are cached of each."""


def prefills(models: dict[str, LLM], other: Any, length: int) -> dict[str, Callable[[], object]]:
    """A run for each model that reads a prompt of so many tokens."""
    ids = torch.randint(other.config.vocab_size, (1, length))
    runs: dict[str, Callable[[], object]] = {OTHER: partial(transformers_prefill, other, ids)}
    return {**runs, **{name: partial(lampe_prefill, llm, ids) for name, llm in models.items()}}


def decodings(
    models: dict[str, LLM], other: Any, rows: int, tokens: int, budget: int
) -> dict[str, Callable[[], object]]:
    """A run for each model that decodes one token a row."""
    ids = torch.randint(other.config.vocab_size, (rows, 1))
    cache = {cache_argument(other): transformers_cache(other, rows, tokens)}
    runs: dict[str, Callable[[], object]] = {
        OTHER: partial(torch.inference_mode()(other.forward), ids, use_cache=True, **cache)
    }
    for name, llm in models.items():
        runs[name] = partial(llm.engine.forward, ids, lampe_cache(llm, rows, tokens, budget))
    return runs


def main() -> None:
    parser = command_line(__doc__, "model", repeats=5, unit="prefills")
    parser.add_argument("--lengths", type=counts, default="512,8192", help="tokens of a prompt (%(default)s)")
    parser.add_argument("--steps", type=int, default=24, help="measured tokens when decoding, 0 for none (%(default)s)")
    options = parse(parser)
    folder = model_folder()
    llm = LLM.load(folder, dtype="bfloat16", device="cpu")
    models = {"rope": llm.with_positional("rope"), "lampe": llm.with_positional(LAMPE)}
    other = transformers_model(folder)
    about = {"model": MODEL, "dtype": "bfloat16", OTHER: version(OTHER)}
    report = Report(options.out, [OTHER, "rope"], speed=True, about=about)
    for length in options.lengths:
        runs = prefills(models, other, length)
        seconds = measure(runs, options.repeats, f"prefill of {length:,} tokens")
        report.add({"work": "prefill", "rows": 1, "tokens": length}, seconds)
    for rows, tokens in DECODING if options.steps > 0 else ():
        runs = decodings(models, other, rows, tokens, options.steps + 1)
        seconds = measure(runs, options.steps, f"decoding behind {rows} x {tokens:,} tokens")
        report.add({"work": "decode", "rows": rows, "tokens": tokens}, seconds)
    groups: dict[str, Any] = {}
    for result in report.results:
        if result.run in LABELS:
            group = "{work}\n{rows} x {tokens:,}".format(**result.setting)
            groups.setdefault(group, {})[LABELS[result.run]] = result.over[OTHER]
    with drawing(report.picture, 1, f"{MODEL}: lampe over transformers", width=7) as (axes,):
        bars(axes, groups)
        axes.set_ylabel("speed over transformers")
    report.show(f"{MODEL}: lampe and transformers")


if __name__ == "__main__":
    main()
