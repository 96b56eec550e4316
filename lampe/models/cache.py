"""The key-value cache: one K and one V a token for every method, rows with lengths and plans of their own."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import torch
from torch import Tensor

from lampe.attention import AttentionBackend, PlanView
from lampe.attention.rotation import rotate, tables
from lampe.config import ModelConfig
from lampe.positional.layout import KeyLayout
from lampe.positional.plan import PositionPlan


@dataclass
class Row:
    """One sequence of a cache.

    Attributes:
        plan: how its tokens are positioned; another one may take its place between two passes (`KVCache.replan`).
        index: its place in the storage.
        layout: how the cached keys lie, in all layers; None while they are being moved.
        length: how many of its tokens are cached.
    """

    plan: PositionPlan
    index: int
    layout: KeyLayout | None = field(default=KeyLayout(), repr=False)
    length: int = 0


@dataclass
class Storage:
    """Keys and values [layers, b, g, capacity, d]: keys that move do so in all layers at once."""

    keys: Tensor
    values: Tensor

    @property
    def capacity(self) -> int:
        """Tokens that fit into a row."""
        return self.keys.shape[3]

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` tokens a row; one tensor after the other, so that at most one is held twice."""
        self.keys = _grown(self.keys, capacity)
        self.values = _grown(self.values, capacity)


@dataclass
class KVCache:
    """The cached tokens of a batch.

    Keys lie where the last cached token read them (`PositionPlan.layout`). The next token finds nearly all of them
    where it reads them itself; only those that change their region are rotated, in place: of LaMPE the one that leaves
    the head and the one that enters the tail, of RoPE none.

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
        shape = (config.n_layers, len(plans), config.n_kv_heads, capacity, config.head_dim)
        keys, values = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))
        return cls(config, Storage(keys, values), [Row(plan, index) for index, plan in enumerate(plans)])

    @property
    def lengths(self) -> list[int]:
        """Cached tokens of each row."""
        return [row.length for row in self.rows]

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values that are allocated for all rows of the storage."""
        return self.storage.keys.nbytes + self.storage.values.nbytes

    def select(self, rows: Sequence[int]) -> KVCache:
        """Some of the rows as a cache of their own, on the same memory."""
        return KVCache(self.config, self.storage, [self.rows[row] for row in rows])

    def copy(self, capacity: int) -> KVCache:
        """The same tokens on memory of its own, with room for `capacity` tokens a row."""
        held = max(self.lengths)
        shape = (*self.storage.keys.shape[:3], max(capacity, held), self.storage.keys.shape[4])
        keys, values = (self.storage.keys.new_empty(shape) for _ in range(2))
        keys[:, :, :, :held] = self.storage.keys[:, :, :, :held]
        values[:, :, :, :held] = self.storage.values[:, :, :, :held]
        return KVCache(self.config, Storage(keys, values), [replace(row) for row in self.rows])

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length` of every row.

        Keys that later tokens moved go back with the next pass, which rounds them once more: noise in bfloat16.
        """
        for row in self.rows:
            if length > row.length:
                raise ValueError(f"cannot truncate a row of {row.length} tokens to {length}")
            row.length = length

    def replan(self, plans: Sequence[PositionPlan]) -> None:
        """Go on under another plan for every row, as for a longer prompt.

        The next pass rotates the cached keys by the difference of their angles, once. Keys and values
        themselves stay those that were computed under the plans before, as they do for a decoded token.
        """
        for row, plan in zip(self.rows, plans, strict=True):
            row.plan = plan

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` tokens a row, if there is not yet."""
        if capacity > self.storage.capacity:
            self.storage.grow(capacity)

    def step(self, n_tokens: int, backend: AttentionBackend) -> Step:
        """Begin a forward pass that appends `n_tokens` to every row."""
        if any(row.layout is None for row in self.rows):
            raise RuntimeError("a pass was interrupted while it moved cached keys; begin with a new cache")
        needed = max(self.lengths) + n_tokens
        if needed > self.storage.capacity:
            self.reserve(max(needed, self.storage.capacity * 3 // 2))
        return Step(self, n_tokens, backend)


class Step:
    """One forward pass over a cache.

    It moves the cached keys to where its last query reads them; then it stores the new keys and values of each layer
    and attends to all of them. Rows with the same plan and the same length are attended together.
    """

    def __init__(self, cache: KVCache, n_tokens: int, backend: AttentionBackend):
        self.cache = cache
        self.n_tokens = n_tokens
        self.backend = backend
        example, config = cache.storage.keys, cache.config
        windows = {config.window_of(layer) for layer in range(config.n_layers)}
        self._groups: list[tuple[slice, slice, dict[int | None, PlanView]]] = []
        for rows, members in _runs(cache.rows):
            row = members[0]
            place = slice(row.index, row.index + len(members))
            stored = row.plan.layout(row.length + n_tokens - 1)
            _move(members, cache.storage.keys[:, place], stored)
            views = {
                window: PlanView(
                    row.plan.within(window),
                    row.length,
                    n_tokens,
                    stored=stored,
                    dtype=example.dtype,
                    device=example.device,
                )
                for window in windows
            }
            self._groups.append((rows, place, views))

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
        for rows, place, views in self._groups:
            view = views[window]
            keys = self.cache.storage.keys[layer, place, :, : view.n_keys]
            values = self.cache.storage.values[layer, place, :, : view.n_keys]
            view.store(key[rows], out=keys[:, :, view.first :])
            values[:, :, view.first :] = value[rows]
            outputs.append(self.backend.forward(query[rows], keys, values, view))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def finish(self) -> None:
        """Count the new tokens as cached, after the last layer: a pass that fails leaves the cache as it was."""
        for row in self.cache.rows:
            row.length += self.n_tokens


def _grown(old: Tensor, capacity: int) -> Tensor:
    new = old.new_empty(*old.shape[:3], capacity, old.shape[4])
    new[:, :, :, : old.shape[3]] = old
    return new


def _move(rows: Sequence[Row], keys: Tensor, layout: KeyLayout) -> None:
    """Rotate the cached keys [layers, b, g, capacity, d] of rows in the same state to another layout, in place."""
    before, length = rows[0].layout, rows[0].length
    assert before is not None
    moves = before.moves(layout, length)
    for row in rows:
        row.layout = None
    for begin, end in moves:
        turns = layout.angles(begin, end).double() - before.angles(begin, end).double()
        cos, sin = (x.to(keys.device, keys.dtype) for x in tables(turns))
        part = keys[..., begin:end, :]
        rotate(part, cos, sin, out=part)
    for row in rows:
        row.layout = layout


def _runs(rows: Sequence[Row]) -> Iterator[tuple[slice, Sequence[Row]]]:
    """Rows in the same state that are neighbours in the storage, as slices of `rows`."""

    def state(item: tuple[int, Row]) -> Hashable:
        place, row = item
        return id(row.plan), row.length, row.index - place, id(row.layout)

    for _, run in groupby(enumerate(rows), key=state):
        members = list(run)
        begin = members[0][0]
        yield slice(begin, begin + len(members)), [row for _, row in members]
