"""Sliding windows on some layers, as Qwen states them."""

from __future__ import annotations

from typing import Any

from lampe.config import ModelConfig
from lampe.errors import ConfigError
from lampe.models.hf_config import HFConfig


def read_windows(hf: HFConfig) -> tuple[int | None, ...]:
    """The window of each layer: those of `layer_types`, else the layers from `max_window_layers` up.

    Raises:
        ConfigError: a layer slides, but no window is stated or `use_sliding_window` is false.
    """
    window = hf.sliding_window if hf.use_sliding_window else None
    if hf.layer_types is None:
        slides = [window is not None and layer >= hf.max_window_layers for layer in range(hf.num_hidden_layers)]
    else:
        slides = [kind == "sliding_attention" for kind in hf.layer_types]
    if not any(slides):
        return ()
    if window is None:
        raise ConfigError(
            f"config.json: layer_types holds 'sliding_attention', but use_sliding_window = {hf.use_sliding_window} and "
            f"sliding_window = {hf.sliding_window}: true and a number of tokens would be accepted"
        )
    return tuple(window if slide else None for slide in slides)


def write_windows(config: ModelConfig) -> dict[str, Any]:
    """The fields that `read_windows` reads."""
    windows = [config.window_of(layer) for layer in range(config.n_layers)]
    if not any(windows):
        return {"use_sliding_window": False, "sliding_window": None, "max_window_layers": config.n_layers}
    # transformers before 4.53 knows no layer_types and takes every layer from max_window_layers up.
    return {
        "use_sliding_window": True,
        "sliding_window": max(window for window in windows if window),
        "max_window_layers": next(layer for layer, window in enumerate(windows) if window),
        "layer_types": ["sliding_attention" if window else "full_attention" for window in windows],
    }
