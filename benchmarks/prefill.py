"""Prefill of one attention layer under each method, against plain causal attention: `python -m benchmarks.prefill`.

The peer is torch's scaled_dot_product_attention(is_causal=True) with RoPE applied. Methods of one region run on it too
unless their name says "chunked"; those of several regions run on the chunked backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from benchmarks.harness import Ratio, command_line, counts, measure, parse, some_of
from benchmarks.pictures import drawing, lines
from benchmarks.report import Report, Result
from lampe.attention import AttentionBackend, ChunkedAttention, PlanView, SDPAAttention
from lampe.config import RopeConfig
from lampe.positional import DCA, STRING, LaMPE, PositionalEncoding, RoPE, SelfExtend, YaRN

SHAPES = {"SmolLM2-135M": (9, 3, 64), "Llama-3-8B": (32, 8, 128)}
"""Query heads, key-value heads, head dimension."""

PEER = "rope"
RUNS: dict[str, tuple[PositionalEncoding, AttentionBackend]] = {
    PEER: (RoPE(), SDPAAttention()),
    "rope-chunked": (RoPE(), ChunkedAttention()),
    "yarn": (YaRN(factor=4), SDPAAttention()),
    "self-extend": (SelfExtend(group=4), ChunkedAttention()),
    "string": (STRING(), ChunkedAttention()),
    "dca": (DCA(), ChunkedAttention()),
    "lampe": (LaMPE(head=512, span=2048), ChunkedAttention()),
}


def layer_seconds(
    names: Sequence[str], shape: tuple[int, int, int], length: int, repeats: int, title: str, device: str
) -> dict[str, list[float]]:
    """Seconds of one layer's attention in every repeat; what all layers of a pass share is made in the warm-up."""
    heads, groups, dim = shape
    rope = RopeConfig(theta=100000.0, dim=dim, max_position=8192, original_window=8192)
    query = torch.randn(1, heads, length, dim, dtype=torch.bfloat16, device=device)
    key, value = torch.randn(2, 1, groups, length, dim, dtype=torch.bfloat16, device=device)

    def attend(backend: AttentionBackend, view: PlanView) -> None:
        backend.forward(query, key, value, view)
        if query.is_cuda:
            torch.cuda.synchronize()

    runs = {}
    for name in names:
        method, backend = RUNS[name]
        view = PlanView(method.bind(rope).plan(length), 0, length, dtype=query.dtype, device=device)
        runs[name] = partial(attend, backend, view)
    return measure(runs, repeats, title)


def panels(results: Sequence[Result]) -> Mapping[str, Mapping[str, Mapping[int, Ratio]]]:
    """Ratios by shape, run and length."""
    found: dict[str, dict[str, dict[int, Ratio]]] = {}
    for result in results:
        runs = found.setdefault(str(result.setting["shape"]), {})
        if result.run != PEER:
            runs.setdefault(result.run, {})[int(result.setting["tokens"])] = result.over[PEER]
    return found


def main() -> None:
    parser = command_line(__doc__, "prefill", repeats=5)
    parser.add_argument(
        "--lengths", type=counts, default="8192,16384", help="tokens, separated by commas (%(default)s)"
    )
    parser.add_argument("--shapes", type=some_of(SHAPES), default=list(SHAPES), help=f"of {','.join(SHAPES)} (all)")
    parser.add_argument("--runs", type=some_of(RUNS), default=list(RUNS), help=f"of {','.join(RUNS)} (all)")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    parser.add_argument("--device", choices=devices, default="cpu", help="where it is computed (%(default)s)")
    options = parse(parser)
    about = {"dtype": "bfloat16"}
    if options.device != "cpu":
        about["device"] = torch.cuda.get_device_name(options.device)
    names = list(dict.fromkeys([PEER, *options.runs]))
    report = Report(options.out, [PEER], about=about)
    for shape in options.shapes:
        for length in options.lengths:
            title = f"{shape}, {length:,} tokens"
            seconds = layer_seconds(names, SHAPES[shape], length, options.repeats, title, options.device)
            report.add({"shape": shape, "tokens": length}, seconds)
    found = panels(report.results)
    with drawing(report.picture, len(found), "Prefill of one attention layer") as axes:
        for panel, (shape, series) in zip(axes, found.items(), strict=True):
            lines(panel, series)
            panel.set_title(shape)
        axes[0].set_ylabel("time over RoPE with sdpa")
    report.show("Prefill of one attention layer")


if __name__ == "__main__":
    main()
