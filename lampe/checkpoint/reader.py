"""Weights from safetensors: memory-mapped, checked against the model before anything is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lampe.checkpoint.folder import INDEX, checkpoint_folder, few, weight_files
from lampe.errors import CheckpointError
from lampe.files import lfs_pointer

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
# Checkpoints of transformers before 4.32 carry the frequencies of RoPE, which follow from config.json.
DERIVED = ".rotary_emb.inv_freq"


def load_weights(model: nn.Module, folder: str | os.PathLike[str], *, dtype: torch.dtype, device: torch.device) -> None:
    """Replace every parameter of a model by the tensor of that name in a checkpoint.

    On the CPU and in the dtype of the file a parameter is a view of the mapped file, so that weights are read when they
    are first used and never copied; writing to one copies its page and leaves the file alone. The files must stay as
    they are while the model lives. In any other dtype or on another device tensors are converted one by one.

    A model with tied embeddings has no `lm_head.weight`. Where the file has one all the same it must equal the
    embeddings; where it has only that one, it is taken as the embeddings, as transformers does.

    Args:
        model: built on the meta device, with the state-dict keys of Hugging Face.
        folder: a checkpoint folder with model.safetensors, or with shards and their index.
        dtype: of the parameters afterwards.
        device: of the parameters afterwards.

    Raises:
        CheckpointError: tensors are missing, surplus, misshapen or quantised; a file is truncated; an index disagrees
            with its files or leaves the folder. The model is unchanged then.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    with open_weights(folder) as stored:
        sources = _match(shapes, stored)
        state = {name: stored[source].read().to(device=device, dtype=dtype) for name, source in sources.items()}
    model.load_state_dict(state, strict=True, assign=True)
    model.requires_grad_(False)


def checkpoint_dtype(folder: str | os.PathLike[str]) -> torch.dtype:
    """The dtype that most weights of a checkpoint have.

    Raises:
        CheckpointError: the files cannot be opened, or hold quantised weights.
    """
    with open_weights(folder) as stored:
        return prevalent((tensor.dtype, torch.Size(tensor.shape).numel()) for tensor in stored.values())


def prevalent(counts: Iterable[tuple[torch.dtype, int]]) -> torch.dtype:
    """The dtype of most elements; `counts` gives the dtype and the number of elements of every tensor."""
    elements: Counter[torch.dtype] = Counter()
    for dtype, count in counts:
        elements[dtype] += count
    return elements.most_common(1)[0][0]


class StoredTensor:
    """A tensor in an open file; its data is touched when it is read.

    Attributes:
        path: of the file.
    """

    def __init__(self, file: Any, path: Path, name: str):
        header = file.get_slice(name)
        self._file, self._name = file, name
        self.path = path
        self.shape = tuple(header.get_shape())
        if header.get_dtype() not in DTYPES:
            raise CheckpointError(
                f"{path}: {name} holds {header.get_dtype()} numbers: lampe loads weights in {', '.join(DTYPES)}, "
                "so a quantised checkpoint must be dequantised first"
            )
        self.dtype = DTYPES[header.get_dtype()]

    def read(self) -> Tensor:
        """All of it."""
        tensor: Tensor = self._file.get_tensor(self._name)
        return tensor

    def begin_of_row(self, row: int, most: int) -> Tensor:
        """The first numbers, `most` at most, of a row of a matrix; of a vector, its own."""
        stored = self._file.get_slice(self._name)
        tensor: Tensor = stored[row : row + 1, :most] if len(self.shape) > 1 else stored[:most]
        return tensor.flatten()


@contextmanager
def open_weights(folder: str | os.PathLike[str]) -> Iterator[dict[str, StoredTensor]]:
    """Every tensor of a checkpoint by its name, the derived ones left out.

    Raises:
        CheckpointError: a file is missing, truncated or disagrees with the index; a tensor is quantised.
    """
    path = checkpoint_folder(folder)
    stored: dict[str, StoredTensor] = {}
    with ExitStack() as stack:
        for shard, placed in weight_files(path).items():
            try:
                file = stack.enter_context(safe_open(shard, framework="pt", device="cpu"))
            except SafetensorError as error:
                reason = lfs_pointer(shard) or f"{shard} is truncated or no safetensors file: {error}"
                raise CheckpointError(reason) from None
            except OSError as error:
                raise CheckpointError(f"{shard} cannot be opened: {error}") from None
            names = set(file.keys())
            if placed is not None and names != placed:
                raise CheckpointError(_disagreement(path / INDEX, shard, names, placed))
            stored.update({name: StoredTensor(file, shard, name) for name in names if not name.endswith(DERIVED)})
        if not stored:
            raise CheckpointError(f"{path}: the weight files hold no tensors")
        yield stored


def _disagreement(index: Path, shard: Path, names: set[str], placed: frozenset[str]) -> str:
    if absent := placed - names:
        return f"{index} places {few(absent)} in {shard.name}, which does not hold that"
    return f"{shard} holds {few(names - placed)}, of which {index.name} knows nothing"


def _match(shapes: Mapping[str, tuple[int, ...]], stored: Mapping[str, StoredTensor]) -> dict[str, str]:
    """The stored name of every parameter."""
    sources = {name: name for name in shapes}
    tied = HEAD not in shapes
    if tied and HEAD in stored and EMBEDDING not in stored:
        sources[EMBEDDING] = HEAD
    missing = [name for name, source in sources.items() if source not in stored]
    surplus = stored.keys() - sources.values() - ({HEAD} if tied else set())
    problems = [
        f"{len(names)} {noun}{'s' * (len(names) > 1)} ({few(names)})"
        for noun, names in (("missing tensor", missing), ("surplus tensor", surplus))
        if names
    ]
    folder = next(iter(stored.values())).path.parent
    if problems:
        raise CheckpointError(f"{folder}: the weights do not fit config.json: {', '.join(problems)}")
    for name, source in sources.items():
        if stored[source].shape != shapes[name]:
            got, wanted = list(stored[source].shape), list(shapes[name])
            raise CheckpointError(f"{stored[source].path}: {source} is {got}, config.json makes it {wanted}")
    if tied and {HEAD, EMBEDDING} <= stored.keys() and not torch.equal(stored[HEAD].read(), stored[EMBEDDING].read()):
        # transformers 4 ties them and drops the head, transformers 5 keeps the head: neither may be guessed.
        raise CheckpointError(
            f"{folder}: {HEAD} differs from {EMBEDDING}, yet config.json ties them: state tie_word_embeddings = false "
            "to use it, or remove it"
        )
    return sources
