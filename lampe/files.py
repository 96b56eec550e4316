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


def is_lfs_pointer(path: Path) -> bool:
    """Whether Git LFS left a pointer where the file should be."""
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with `~` replaced by the home folder, as it stands where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
