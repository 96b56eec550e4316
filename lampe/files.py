"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

_LFS_POINTER = b"version https://git-lfs"


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write a file so that a reader sees the old content or the new, never a part, even if power fails meanwhile.

    Args:
        path: its folder is made where it is missing.
        content: text is written in UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            # Some file systems bring the new name to the disk before the content.
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def lfs_pointer(path: Path) -> str | None:
    """A sentence where Git LFS left a pointer in the place of the file, else None."""
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            return f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull`"
    return None


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with `~` replaced by the home folder, as it stands where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
