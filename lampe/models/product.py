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


@dataclass(frozen=True)
class Copy:
    """The packed weights of layers side by side.

    Attributes:
        sources: what was packed.
        weight: [out, in] in oneDNN's layout; None where these layers, this machine or this dtype have none.
        bias: [out], or None.
    """

    sources: list[Source]
    weight: Tensor | None = None
    bias: Tensor | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, sources: list[Source]) -> Copy:
        """Pack what layers hold; there is no weight where only some of them have a bias."""
        weights, biases = [source.weight for source in sources], [source.bias for source in sources]
        given = [bias for bias in biases if bias is not None]
        if len(given) not in (0, len(biases)):
            return cls(sources)
        weight = packed_weight(weights[0] if len(weights) == 1 else torch.cat(weights))
        return cls(sources, weight, torch.cat(given) if given else None)


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
        self._copy: Copy | None = None

    def pack(self, packed: bool = True) -> None:
        """Use packed weights from the next product on, or drop them."""
        self._packed = packed
        self._copy = None

    def __getstate__(self) -> dict[str, Any]:
        """All but the packed copy, which is made again: a copied or saved model brings its layers along."""
        return {**vars(self), "_copy": None}

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
        copy = self._current(x)
        if copy is None or copy.weight is None or copy.weight.dtype != x.dtype:
            outputs = [self._plain(name, x) for name in self._names]
            out = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
            out = F.silu(out) if activation == "silu" else out
            out = out if times is None else out * times
            return out if plus is None else out + plus
        kernels = torch.ops.mkldnn._linear_pointwise
        if times is not None:
            return kernels.binary(x, times, copy.weight, copy.bias, "mul")  # type: ignore[no-any-return]
        if plus is not None:
            return kernels.binary(x, plus, copy.weight, copy.bias, "add")  # type: ignore[no-any-return]
        name = "swish" if activation == "silu" else "none"
        return kernels(x, copy.weight, copy.bias, name, [], "")  # type: ignore[no-any-return]

    def _plain(self, name: str, x: Tensor) -> Tensor:
        layer = self._layers[name]
        assert layer is not None
        return F.linear(x, layer.weight) if isinstance(layer, nn.Embedding) else layer(x)

    def _current(self, x: Tensor) -> Copy | None:
        """The packed copy of what the layers hold, made where that is due; None where x takes the plain way."""
        if not self._packed or torch.is_grad_enabled() or x.device.type != "cpu":
            return None
        layers: list[Any] = [self._layers[name] for name in self._names]
        if not all(map(_is_plain, layers)):
            return None
        # Other threads may run the same model: they see a whole copy, or none.
        copy = self._copy
        if copy is None or not all(map(Source.is_current, copy.sources, layers)):
            copy = self._copy = Copy.of([Source.of(layer) for layer in layers])
        return copy


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
