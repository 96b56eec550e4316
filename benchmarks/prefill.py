"""Prefill of one attention layer under each method, against plain causal attention: `python -m benchmarks.prefill`.

The peer is torch's scaled_dot_product_attention(is_causal=True) with RoPE applied. Runs are interleaved, so that a
machine that slows down slows all of them; reported is the median, over the repeats, of each run over the peer of the
same repeat.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lampe.attention import AttentionBackend, ChunkedAttention, PlanView, SDPAAttention
from lampe.config import RopeConfig
from lampe.positional import DCA, STRING, LaMPE, PositionalEncoding, PositionWarning, RoPE, SelfExtend, YaRN

SHAPES = {"SmolLM2-135M": (9, 3, 64), "Llama-3-8B": (32, 8, 128)}
"""Query heads, key-value heads, head dimension."""

PEER = "rope, sdpa"
RUNS: dict[str, tuple[PositionalEncoding, AttentionBackend]] = {
    PEER: (RoPE(), SDPAAttention()),
    "rope, chunked": (RoPE(), ChunkedAttention()),
    "yarn, sdpa": (YaRN(factor=4), SDPAAttention()),
    "self-extend, chunked": (SelfExtend(group=4), ChunkedAttention()),
    "string, chunked": (STRING(), ChunkedAttention()),
    "dca, chunked": (DCA(), ChunkedAttention()),
    "lampe, chunked": (LaMPE(head=512, span=2048), ChunkedAttention()),
}


def measure(shape: tuple[int, int, int], length: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of every run in every repeat, the first (a warm-up) left out."""
    heads, groups, dim = shape
    rope = RopeConfig(theta=100000.0, dim=dim, max_position=8192, original_window=8192)
    query = torch.randn(1, heads, length, dim, dtype=torch.bfloat16)
    key, value = torch.randn(2, 1, groups, length, dim, dtype=torch.bfloat16)
    views = {
        name: PlanView(method.bind(rope).plan(length), 0, length, dtype=query.dtype)
        for name, (method, _) in RUNS.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    for _ in track(range(repeats + 1), f"{length:,} tokens, {heads} heads", transient=True):
        for name, (_, backend) in RUNS.items():
            began = time.perf_counter()
            backend.forward(query, key, value, views[name])
            seconds[name].append(time.perf_counter() - began)
    return {name: runs[1:] for name, runs in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", default="4096,8192", help="tokens, separated by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("out/bench/prefill.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", PositionWarning)
    console, results = Console(), []
    table = Table("shape", "tokens", "run", "median ms", f"over {PEER}", "lowest to highest")
    for model, shape in SHAPES.items():
        for length in map(int, options.lengths.split(",")):
            seconds = measure(shape, length, options.repeats)
            for name, runs in seconds.items():
                ratios = [run / peer for run, peer in zip(runs, seconds[PEER], strict=True)]
                median, ratio = statistics.median(runs), statistics.median(ratios)
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                table.add_row(model, f"{length:,}", name, f"{1000 * median:.0f}", f"{ratio:.2f}", spread)
                results.append({"shape": model, "tokens": length, "run": name, "seconds": runs, "ratios": ratios})
    console.print(table)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    setting = {"torch": torch.__version__, "threads": torch.get_num_threads(), "peer": PEER}
    options.out.write_text(json.dumps({**setting, "results": results}, indent=1))
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
