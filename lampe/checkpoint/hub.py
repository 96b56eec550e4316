"""Checkpoints by name: a folder, or a repository on the Hugging Face hub."""

from __future__ import annotations

import os
import re
from glob import escape
from pathlib import Path

from lampe.checkpoint.folder import INDEX, WEIGHTS, weight_map, why_no_weights
from lampe.errors import CheckpointError, MissingExtraError
from lampe.files import expanded
from lampe.positional.profile import BESIDE
from lampe.tokenizers.files import MORE_TEMPLATES
from lampe.tokenizers.files import NAMES as TOKENIZER_FILES

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
WANTED = [
    "config.json",
    "generation_config.json",
    WEIGHTS,
    INDEX,
    *TOKENIZER_FILES,
    f"{MORE_TEMPLATES}/*.jinja",
    "vocab.json",  # not read, like merges.txt: where there is nothing else, the tokenizer says why they do not do
    "merges.txt",
    BESIDE,
]
"""What a checkpoint needs, the shards that its index names aside: repositories hold the weights in other forms too."""


def resolve(
    name_or_folder: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
) -> Path:
    """The folder of a checkpoint; a hub name is downloaded once and then found in the cache of huggingface_hub.

    Args:
        name_or_folder: a folder, which comes first, or a hub name such as "org/name".
        revision: branch, tag or commit on the hub.
        cache_dir: where downloads are kept; None takes the cache that huggingface_hub is set to.
        offline: True asks the cache only; None does so when HF_HUB_OFFLINE is set or the hub cannot be reached.

    Raises:
        CheckpointError: neither a folder nor a hub name; not on the hub, gated, or out of reach and not in the cache;
            on the hub, but without weights in safetensors.
        MissingExtraError: huggingface_hub is not installed.
    """
    name = os.fspath(name_or_folder)
    path = expanded(name)
    if name and path.is_dir():
        return path
    if path.suffix == ".gguf" and path.is_file():
        raise CheckpointError(f"{path} is a GGUF file: `lampe convert {path} folder` makes a checkpoint of it")
    if path.is_file():
        raise CheckpointError(f"{path} is a file: give the folder that holds it")
    if not HUB_NAME.fullmatch(name):
        raise CheckpointError(f"{name!r} is no folder here, nor a name on the hub such as 'org/name'")
    return _download(name, revision=revision, cache_dir=cache_dir, offline=bool(offline))


def _download(name: str, *, revision: str | None, cache_dir: str | os.PathLike[str] | None, offline: bool) -> Path:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise MissingExtraError("huggingface_hub", "hub", f"{name!r} is no folder here, and a download") from None

    def fetched(revision: str | None, wanted: list[str]) -> Path:
        try:
            folder = snapshot_download(
                name,
                revision=revision,
                cache_dir=None if cache_dir is None else Path(cache_dir),
                local_files_only=offline,
                allow_patterns=wanted,
            )
        except Exception as error:  # what a broken connection raises depends on the HTTP library huggingface_hub uses
            raise CheckpointError(_reason(error, name, revision)) from error
        return Path(folder)

    folder = fetched(revision, WANTED)
    commit = folder.name
    if (folder / WEIGHTS).is_file():
        return folder
    if (folder / INDEX).is_file():
        # Of the same commit: a branch may have moved on since the index was read.
        return fetched(commit, [escape(shard) for shard in set(weight_map(folder / INDEX).values())])
    try:
        names = [] if offline else HfApi().list_repo_files(name, revision=commit)
    except Exception:  # as above; what the folder lacks is said by whoever reads it
        names = []
    if names:
        raise CheckpointError(why_no_weights(repr(name), names, "download one and `lampe convert` it"))
    return folder


def _reason(error: Exception, name: str, revision: str | None) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{name!r} is no folder here"
    if isinstance(error, GatedRepoError):
        return f"{where}, and on the hub it is gated: ask for access on its page and log in (`hf auth login`)"
    if isinstance(error, RepositoryNotFoundError):
        return f"{where}, and the hub has no such repository, or it is private and you are not logged in"
    if isinstance(error, RevisionNotFoundError):
        return f"{name!r} has no revision {revision!r} on the hub: a branch, tag or commit would be accepted"
    if isinstance(error, LocalEntryNotFoundError):
        return f"{where}, the hub is out of reach or switched off, and the cache holds no complete copy"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        refusal = " (your login, or none, is not accepted: `hf auth login`)" if status in (401, 403) else ""
        return f"{where}, and the hub answered {status} for it{refusal}"
    if isinstance(error, HFValidationError):
        return f"{name!r} is neither a folder here nor a name that the hub allows"
    first_line = next(iter(str(error).splitlines()), "")
    return f"{name!r} could not be downloaded: {type(error).__name__}: {first_line}"
