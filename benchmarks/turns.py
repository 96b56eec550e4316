"""A second turn in a session against a prefill of everything: `python -m benchmarks.turns`.

The first turn is prose of a length that has its own plan, the second goes on from it. The session rotates the cached
keys to the longer prompt's plan and reads what is new; the peer reads all of it. Both are scored on the new tokens,
since the session's keys and values were computed under the plan of the first turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.harness import at_least_one, command_line, interleave, parse, some_of
from benchmarks.pictures import bars, drawing
from benchmarks.report import Report
from benchmarks.subject import LAMPE
from examples.demo import MODEL, model_folder
from lampe import LLM
from lampe.evaluation import Perplexity
from lampe.session import Session

RUNS = {
    "rope": "rope",
    "dynamic-ntk": {"kind": "dynamic-ntk", "factor": 2},
    "self-extend": {"kind": "self-extend", "group": 4},
    "lampe": LAMPE,
    "lampe-4096": {**LAMPE, "span": 4096},
}
FRESH, SECOND = "fresh prefill", "second turn"


def perplexity(logits: Tensor, ids: Sequence[int]) -> float:
    """Of all tokens but the first, from logits [n, vocab_size] of the n tokens."""
    return math.exp(F.cross_entropy(logits[:-1].float(), torch.tensor(ids[1:])).item())


def divergence(logits: Tensor, exact: Tensor) -> float:
    """Mean Kullback-Leibler divergence from the exact distributions, nats a token."""
    found, wanted = logits.log_softmax(-1), exact.log_softmax(-1)
    return float(F.kl_div(found, wanted, reduction="batchmean", log_target=True))


def both(llm: LLM, ids: list[int], first: int, repeats: int, title: str) -> dict[str, tuple[list[float], Tensor]]:
    """Seconds and logits [new, vocab_size] of the new tokens, from a fresh prefill and from the second turn."""
    new = len(ids) - first

    def timed(session: Session) -> tuple[float, Tensor]:
        began = time.perf_counter()
        logits = session.logits(ids, last=new)
        return time.perf_counter() - began, logits

    def second() -> tuple[float, Tensor]:
        session = llm.session()
        session.logits(ids[:first])
        return timed(session)

    results = interleave({FRESH: lambda: timed(llm.session()), SECOND: second}, repeats, title)
    return {name: ([seconds for seconds, _ in found], found[-1][1]) for name, found in results.items()}


def main() -> None:
    parser = command_line(__doc__, "turns", repeats=1)
    parser.add_argument("--first", type=at_least_one, default=8192, help="tokens of the first turn (%(default)s)")
    parser.add_argument("--new", type=at_least_one, default=256, help="tokens of the second turn (%(default)s)")
    parser.add_argument("--runs", type=some_of(RUNS), default=list(RUNS), help=f"of {','.join(RUNS)} (all)")
    options = parse(parser)
    llm = LLM.load(model_folder(), dtype="bfloat16", device="cpu")
    total = options.first + options.new
    assert llm.tokenizer is not None
    (sample,) = Perplexity(tokens=options.new, places=1).samples(llm.tokenizer, [total])
    ids = list(sample.ids)
    report = Report(options.out, [FRESH], about={"model": MODEL, "dtype": "bfloat16"})
    for name in options.runs:
        setting = {"method": name, "tokens": options.first, "new": options.new}
        found = both(llm.with_positional(RUNS[name]), ids, options.first, options.repeats, name)
        exact = found[FRESH][1].float()
        facts = {
            run: {
                "perplexity": perplexity(logits, ids[options.first :]),
                "same best token": float((logits.argmax(dim=-1) == exact.argmax(dim=-1)).float().mean()),
                "mean KL": float(
                    F.kl_div(
                        logits.float().log_softmax(-1), exact.log_softmax(-1), reduction="batchmean", log_target=True
                    )
                ),
            }
            for run, (_, logits) in found.items()
        }
        report.add(setting, {run: seconds for run, (seconds, _) in found.items()}, facts)
    with drawing(report.picture, 1, f"{MODEL}: a second turn over a fresh prefill", width=7) as (axes,):
        bars(axes, {str(r.setting["method"]): {r.run: r.over[FRESH]} for r in report.results if r.run == SECOND})
        axes.set_ylabel("time")
    report.show(f"{MODEL}: a second turn of {options.new} tokens after {options.first:,}")


if __name__ == "__main__":
    main()
