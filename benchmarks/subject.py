"""The model that is measured, the demo's in bfloat16: as lampe and as transformers run it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lampe import LLM
from lampe.models.cache import KVCache

LAMPE = {"kind": "lampe", "head": 512}
"""The method's setting for this model."""


def transformers_model(folder: Path) -> Any:
    """The weights as a transformers model."""
    # Its functions have no types that a strict checker takes.
    transformers: Any = import_module("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="sdpa", local_files_only=True
    )
    return model.eval()


def cache_argument(model: Any) -> str:
    """The name under which a transformers model takes its cache: it changed within version 5."""
    return "cache" if "cache" in signature(type(model).forward).parameters else "past_key_values"


def lampe_prefill(llm: LLM, ids: Tensor) -> KVCache:
    """Run a prompt [b, t] up to the logits of its last tokens; the cache it leaves."""
    cache = llm.engine.cache([ids.shape[1]] * len(ids))
    llm.engine.forward(ids, cache, last=1)
    return cache


@torch.inference_mode()
def transformers_prefill(model: Any, ids: Tensor) -> Any:
    """The same with a transformers model."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    model(ids, use_cache=True, logits_to_keep=1, **{cache_argument(model): cache})
    return cache


def lampe_cache(llm: LLM, rows: int, tokens: int, budget: int) -> KVCache:
    """A cache that holds `tokens` random tokens a row, with room for `budget` more.

    All layers and rows hold the same numbers: a step takes the same time, and they are there in seconds.
    """
    cache = llm.engine.cache([tokens] * rows, budget)
    cache.storage.keys.copy_(torch.randn(cache.storage.keys.shape[2:]))
    cache.storage.values.copy_(torch.randn(cache.storage.values.shape[2:]))
    count_as_cached(cache, tokens)
    return cache


def count_as_cached(cache: KVCache, tokens: int) -> None:
    """Take what lies in the storage for `tokens` tokens a row, where the last of them reads its keys."""
    for row in cache.rows:
        row.length = tokens
        row.layout = row.plan.layout(tokens - 1)


def transformers_cache(model: Any, rows: int, tokens: int) -> Any:
    """As `lampe_cache`; it grows with every token, as it does in transformers' own `generate`."""
    from transformers import DynamicCache

    config = model.config
    cache = DynamicCache(config=config)
    key, value = torch.randn(
        2, rows, config.num_key_value_heads, tokens, config.head_dim, dtype=torch.bfloat16
    )  # each [b, g, n, d]
    for layer in range(config.num_hidden_layers):
        cache.update(key, value, layer)
    return cache
