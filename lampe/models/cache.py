"""The key-value cache: one K and one V a token for every method, rows with lengths and plans of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from lampe.attention import AttentionBackend, PlanView
from lampe.config import ModelConfig
from lampe.positional.plan import PositionPlan


@dataclass
class Row:
    """One sequence: its plan, its place in the storage, and how many of its tokens are cached."""

    plan: PositionPlan
    index: int
    length: int = 0


@dataclass
class Storage:
    """Keys and values of all layers, [b, g, capacity, d] each."""

    keys: list[Tensor]
    values: list[Tensor]

    @property
    def capacity(self) -> int:
        """Tokens that fit into a row."""
        return self.keys[0].shape[2]

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` tokens a row; a layer at a time, so that at most one is held twice."""
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                new = old.new_empty(*old.shape[:2], capacity, old.shape[3])
                new[:, :, : old.shape[2]] = old
                tensors[layer] = new


@dataclass
class KVCache:
    """The cached tokens of a batch.

    Keys lie at the coordinate in which a decoded token reads most of them (`PositionPlan.home`), so that a step rotates
    only the few keys of the other regions.

    Attributes:
        config: of the model.
        storage: the tensors, shared with every cache made by `select`.
        rows: the sequences, in the order of a forward pass.
    """

    config: ModelConfig
    storage: Storage = field(repr=False)
    rows: list[Row]

    @classmethod
    def allocate(
        cls,
        config: ModelConfig,
        plans: Sequence[PositionPlan],
        capacity: int,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> KVCache:
        """An empty cache with a row for every plan and room for `capacity` tokens a row."""
        shape = (len(plans), config.n_kv_heads, capacity, config.head_dim)

        def tensors() -> list[Tensor]:
            return [torch.empty(shape, dtype=dtype, device=device) for _ in range(config.n_layers)]

        return cls(config, Storage(tensors(), tensors()), [Row(plan, index) for index, plan in enumerate(plans)])

    @property
    def lengths(self) -> list[int]:
        """Cached tokens of each row."""
        return [row.length for row in self.rows]

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values that are allocated for all rows of the storage."""
        return sum(x.nbytes for x in (*self.storage.keys, *self.storage.values))

    def select(self, rows: Sequence[int]) -> KVCache:
        """Some of the rows as a cache of their own, on the same memory."""
        return KVCache(self.config, self.storage, [self.rows[row] for row in rows])

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length` of every row."""
        for row in self.rows:
            if length > row.length:
                raise ValueError(f"cannot truncate a row of {row.length} tokens to {length}")
            row.length = length

    def step(self, n_tokens: int, backend: AttentionBackend) -> Step:
        """Begin a forward pass that appends `n_tokens` to every row."""
        needed = max(self.lengths) + n_tokens
        if needed > self.storage.capacity:
            self.storage.grow(max(needed, self.storage.capacity * 3 // 2))
        return Step(self, n_tokens, backend)


class Step:
    """One forward pass over a cache: stores the new keys and values of each layer and attends to all of them.

    Rows with the same plan and the same length are attended together.
    """

    def __init__(self, cache: KVCache, n_tokens: int, backend: AttentionBackend):
        self.cache = cache
        self.n_tokens = n_tokens
        self.backend = backend
        example, config = cache.storage.keys[0], cache.config
        windows = {config.window_of(layer) for layer in range(config.n_layers)}
        self._groups: list[tuple[slice, slice, dict[int | None, PlanView]]] = []
        for rows, row in _runs(cache.rows):
            views = {
                window: PlanView(
                    row.plan.within(window),
                    row.length,
                    n_tokens,
                    stored=row.plan.home,
                    dtype=example.dtype,
                    device=example.device,
                )
                for window in windows
            }
            self._groups.append((rows, slice(row.index, row.index + rows.stop - rows.start), views))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Append key and value to a layer and attend.

        Args:
            layer: index of the layer.
            query: [b, h, t, d], not rotated.
            key: [b, g, t, d], not rotated.
            value: [b, g, t, d].

        Returns:
            [b, h, t, d]
        """
        outputs = []
        window = self.cache.config.window_of(layer)
        for rows, stored, views in self._groups:
            view = views[window]
            keys = self.cache.storage.keys[layer][stored, :, : view.n_keys]
            values = self.cache.storage.values[layer][stored, :, : view.n_keys]
            view.store(key[rows], out=keys[:, :, view.first :])
            values[:, :, view.first :] = value[rows]
            outputs.append(self.backend.forward(query[rows], keys, values, view))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def finish(self) -> None:
        """Count the new tokens as cached, after the last layer: a pass that fails leaves the cache as it was."""
        for row in self.cache.rows:
            row.length += self.n_tokens


def _runs(rows: Sequence[Row]) -> Iterator[tuple[slice, Row]]:
    """Rows with the same plan and length that are neighbours in the storage, as slices of `rows`."""
    alike = groupby(enumerate(rows), key=lambda item: (id(item[1].plan), item[1].length, item[1].index - item[0]))
    for _, run in alike:
        members = list(run)
        begin, first = members[0]
        yield slice(begin, begin + len(members)), first
