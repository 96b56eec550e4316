"""One decoded token of the real model behind N cached ones, under each method: `python -m benchmarks.decode`.

The peer is RoPE. The caches hold random tokens, and decoding goes on token by token. All methods share the memory of
one cache: what a step costs does not depend on the numbers in it, and seven of the largest would not fit into most
machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from benchmarks.harness import Ratio, command_line, counts, measure, parse, some_of
from benchmarks.pictures import drawing, lines
from benchmarks.report import Report, Result
from benchmarks.subject import LAMPE, count_as_cached, lampe_cache
from examples.demo import MODEL, model_folder
from lampe import LLM
from lampe.models.cache import KVCache

PEER = "rope"
METHODS: dict[str, dict[str, object]] = {
    PEER: {"kind": "rope"},
    "yarn": {"kind": "yarn", "factor": 4},
    "rerope": {"kind": "rerope"},
    "self-extend": {"kind": "self-extend", "group": 4},
    "dca": {"kind": "dca"},
    "string": {"kind": "string"},
    "lampe": LAMPE,
}


def caches(models: Mapping[str, LLM], rows: int, tokens: int, budget: int) -> tuple[dict[str, KVCache], dict[str, int]]:
    """A cache for each model and the bytes that it takes alone."""
    peer = lampe_cache(models[PEER], rows, tokens, budget)
    found, sizes = {PEER: peer}, {PEER: peer.nbytes}
    for name, llm in models.items():
        if name == PEER:
            continue
        cache = llm.engine.cache([tokens] * rows, budget)
        sizes[name] = cache.nbytes
        if cache.storage.keys.shape != peer.storage.keys.shape:
            raise RuntimeError(
                f"{name}: a cache of {list(cache.storage.keys.shape)} cannot share the memory of {PEER}'s"
            )
        cache.storage = peer.storage
        count_as_cached(cache, tokens)
        found[name] = cache
    return found, sizes


def steps(models: Mapping[str, LLM], caches: Mapping[str, KVCache], rows: int) -> dict[str, Callable[[], object]]:
    """A run for each model that decodes one token a row."""
    ids = torch.randint(models[PEER].config.vocab_size, (rows, 1))
    return {name: partial(llm.engine.forward, ids, caches[name]) for name, llm in models.items()}


def panels(results: Sequence[Result]) -> Mapping[str, Mapping[str, Mapping[int, Ratio]]]:
    """Ratios by batch, run and length."""
    found: dict[str, dict[str, dict[int, Ratio]]] = {}
    for result in results:
        runs = found.setdefault(f"batch {result.setting['rows']}", {})
        if result.run != PEER:
            runs.setdefault(result.run, {})[int(result.setting["tokens"])] = result.over[PEER]
    return found


def main() -> None:
    parser = command_line(__doc__, "decode", repeats=24, unit="tokens")
    parser.add_argument("--lengths", type=counts, default="512,8192,16384", help="cached tokens a row (%(default)s)")
    parser.add_argument("--rows", type=counts, default="1,8", help="sequences at once (%(default)s)")
    parser.add_argument("--runs", type=some_of(METHODS), default=list(METHODS), help=f"of {','.join(METHODS)} (all)")
    options = parse(parser)
    llm = LLM.load(model_folder(), dtype="bfloat16", device="cpu")
    names = list(dict.fromkeys([PEER, *options.runs]))
    models = {name: llm.with_positional(METHODS[name]) for name in names}
    report = Report(options.out, [PEER], about={"model": MODEL, "dtype": "bfloat16"})
    for rows in options.rows:
        for length in options.lengths:
            held, sizes = caches(models, rows, length, options.repeats + 1)
            title = f"{rows} x {length:,} cached tokens"
            seconds = measure(steps(models, held, rows), options.repeats, title)
            facts = {name: {"cache MB": size / 1e6, "over rope's": size / sizes[PEER]} for name, size in sizes.items()}
            report.add({"rows": rows, "tokens": length}, seconds, facts)
    found = panels(report.results)
    with drawing(report.picture, len(found), f"{MODEL}: one decoded token") as axes:
        for panel, (batch, series) in zip(axes, found.items(), strict=True):
            lines(panel, series, xlabel="cached tokens")
            panel.set_title(batch)
        axes[0].set_ylabel("time over RoPE")
    report.show(f"{MODEL}: one decoded token")


if __name__ == "__main__":
    main()
