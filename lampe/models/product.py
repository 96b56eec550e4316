"""Products with the weights of linear layers, on a CPU from weights laid out for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS_HINT = 64
"""Rows that the layout of packed weights is made for; it serves one row and thousands as well."""

MEMORY_SHARE = 4
"""Packed weights may take this part of the machine's memory before "auto" leaves them out."""


@dataclass(frozen=True)
class Source:
    """A layer's parameters as they were packed, and what tells that they are still the same numbers."""

    weight: Tensor
    bias: Tensor | None
    state: tuple[object, ...]

    @classmethod
    def of(cls, layer: nn.Module) -> Source:
        """What the layer holds now."""
        weight, bias = layer._parameters["weight"], layer._parameters.get("bias")
        assert weight is not None
        return cls(weight, bias, (*_state(weight), *_state(bias)))

    def is_current(self, layer: nn.Module) -> bool:
        """Whether the layer holds the same still."""
        held = layer._parameters
        return (
            held.get("weight") is self.weight
            and held.get("bias") is self.bias
            and (*_state(self.weight), *_state(self.bias)) == self.state
        )


class Product:
    """x times the weights of linear layers that share their input, as one product.

    Until `pack` is called every layer is called as it stands. Packed, the weights are copied once, side by side, into
    the layout that oneDNN reads fastest, and activations, products and sums that follow are computed in the same pass.
    The copy follows the layers: a layer with hooks, one of another class, and any pass that records gradients takes the
    plain way; a weight that was replaced, or changed in place where autograd counts it, is packed anew. What autograd
    does not count is not seen: after a change through `weight.data`, call `pack` again.

    Args:
        owner: the module that holds the layers.
        names: of its `nn.Linear`s, or of its one `nn.Embedding`, whose weight then is that of a head.
    """

    def __init__(self, owner: nn.Module, *names: str):
        self._packed = False
        self._layers = owner._modules
        self._names = names
        self._sources: list[Source] = []
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def pack(self, packed: bool = True) -> None:
        """Use packed weights from the next product on, or drop them."""
        self._packed = packed
        self._sources, self._weight, self._bias = [], None, None

    def __getstate__(self) -> dict[str, Any]:
        """All but the packed copy, which is made again: a copied or saved model brings its layers along."""
        return {**vars(self), "_sources": [], "_weight": None, "_bias": None}

    def __call__(
        self, x: Tensor, *, activation: str = "none", times: Tensor | None = None, plus: Tensor | None = None
    ) -> Tensor:
        """The outputs of all layers side by side, with what follows.

        Args:
            x: [..., in].
            activation: "none" or "silu".
            times: [..., out], multiplied with the result.
            plus: [..., out], added to the result.

        Returns:
            [..., out]
        """
        if not self._ready(x):
            outputs = [self._plain(name, x) for name in self._names]
            out = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            out = F.silu(out) if activation == "silu" else out
            out = out if times is None else out * times
            return out if plus is None else out + plus
        kernels = torch.ops.mkldnn._linear_pointwise
        if times is not None:
            return kernels.binary(x, times, self._weight, self._bias, "mul")  # type: ignore[no-any-return]
        if plus is not None:
            return kernels.binary(x, plus, self._weight, self._bias, "add")  # type: ignore[no-any-return]
        name = "swish" if activation == "silu" else "none"
        return kernels(x, self._weight, self._bias, name, [], "")  # type: ignore[no-any-return]

    def _plain(self, name: str, x: Tensor) -> Tensor:
        layer = self._layers[name]
        assert layer is not None
        return F.linear(x, layer.weight) if isinstance(layer, nn.Embedding) else layer(x)

    def _ready(self, x: Tensor) -> bool:
        """Whether the packed weights can be used; packs them where that is due."""
        if not self._packed or torch.is_grad_enabled() or x.device.type != "cpu":
            return False
        layers: list[Any] = [self._layers[name] for name in self._names]
        if not all(map(_is_plain, layers)):
            return False
        current = len(self._sources) == len(layers)
        if not current or not all(map(Source.is_current, self._sources, layers)):
            self._read([Source.of(layer) for layer in layers])
        return self._weight is not None and self._weight.dtype == x.dtype

    @torch.no_grad()
    def _read(self, sources: list[Source]) -> None:
        self._sources = sources
        self._weight = self._bias = None
        weights, biases = [source.weight for source in sources], [source.bias for source in sources]
        given = [bias for bias in biases if bias is not None]
        if len(given) in (0, len(biases)):
            self._weight = packed_weight(weights[0] if len(weights) == 1 else torch.cat(weights))
            self._bias = torch.cat(given) if given else None


def packed_weight(weight: Tensor) -> Tensor | None:
    """A weight [out, in] in oneDNN's own layout; None where this machine or this dtype has none."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.bfloat16, torch.float32):
        return None
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    if weight.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS_HINT)  # type: ignore[no-any-return]


def packing_fits(parameters: Sequence[Tensor]) -> bool:
    """Whether a second copy of the weights is small beside the machine's memory."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return False
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sum(parameter.nbytes for parameter in parameters) * MEMORY_SHARE <= memory


def _is_plain(layer: nn.Module) -> bool:
    """Whether calling the layer is no more than a product with its weight."""
    return type(layer) in (nn.Linear, nn.Embedding) and not layer._forward_hooks and not layer._forward_pre_hooks


def _state(parameter: Tensor | None) -> tuple[object, ...]:
    """Where a parameter lies, and how often autograd saw it change in place: it counts no inference tensors."""
    if parameter is None:
        return ()
    return parameter.data_ptr(), parameter.dtype, 0 if parameter.is_inference() else parameter._version
