"""One prefill in a process of its own: its seconds and the process's memory, as JSON. `benchmarks.memory` runs it."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from os import getpid, sysconf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.subject import LAMPE, lampe_prefill, transformers_model, transformers_prefill
from examples.demo_screen import resident_memory
from lampe import LLM
from lampe.models.cache import KVCache
from lampe.positional import PositionWarning, ProfileWarning

METHODS: dict[str, Any] = {"rope": "rope", "lampe": LAMPE}
REPEATS, LONG = 3, 10.0
"""Prefills whose median is taken, and the seconds from which on one is enough."""

WARM_UP = 64
"""Tokens of a first pass: weights that are mapped or packed take their memory in it."""


def resident_now() -> int:
    """Bytes of this process that are resident."""
    table = Path("/proc/self/statm")
    if table.exists():
        return int(table.read_text().split()[1]) * sysconf("SC_PAGE_SIZE")
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(getpid())], capture_output=True, text=True, check=True)
    return int(told.stdout) * 1024


def prefill_of(run: str, folder: Path) -> tuple[Callable[[Tensor], Any], int]:
    """How a run reads a prompt [1, t], and the size of its vocabulary."""
    if run in METHODS:
        llm = LLM.load(folder, dtype="bfloat16", device="cpu", positional=METHODS[run], tokenizer=False)
        return lambda ids: lampe_prefill(llm, ids), llm.config.vocab_size
    model = transformers_model(folder)
    return lambda ids: transformers_prefill(model, ids), model.config.vocab_size


def cache_bytes(cache: Any) -> int:
    """Bytes of keys and values of either library's cache."""
    if isinstance(cache, KVCache):
        return cache.nbytes
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def measure_point(run: str, folder: Path, length: int) -> dict[str, float]:
    """Load, warm up, and prefill; short prompts several times, the memory is that of the first.

    Returns:
        `seconds` of a prefill; in bytes `resident` after loading and a first pass, `peak_before` the prefill and `peak`
        of the whole process, and `cache`.
    """
    prefill, vocabulary = prefill_of(run, folder)
    prefill(torch.randint(vocabulary, (1, WARM_UP)))
    before = {"resident": resident_now(), "peak_before": resident_memory() or 0}
    ids = torch.randint(vocabulary, (1, length))
    first, size = timed(prefill, ids)
    after = {"peak": resident_memory() or 0, "cache": size}
    further = [timed(prefill, ids)[0] for _ in range(REPEATS - 1)] if first < LONG else []
    return {"seconds": statistics.median([first, *further]), **before, **after}


def timed(prefill: Callable[[Tensor], Any], ids: Tensor) -> tuple[float, int]:
    """Seconds of a prefill and the bytes of the cache that it left, which is free again."""
    began = time.perf_counter()
    cache = prefill(ids)
    return time.perf_counter() - began, cache_bytes(cache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("length", type=int)
    options = parser.parse_args()
    for category in (PositionWarning, ProfileWarning):
        warnings.simplefilter("ignore", category)
    print(json.dumps(measure_point(options.run, options.folder, options.length)))


if __name__ == "__main__":
    main()
