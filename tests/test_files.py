"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lampe.files import write_whole


def test_the_content_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path: Path, monkeypatch):
    path = write_whole(tmp_path / "folder" / "a.txt", "old")
    fsync, replace, synced = os.fsync, os.replace, []

    def syncing(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        assert path.read_text() == "old"
        fsync(file)

    def replacing(source: Path, target: Path) -> None:
        assert synced == [3]
        assert source.read_bytes() == "né".encode()
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    assert write_whole(path, "né").read_bytes() == "né".encode()
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_what_fails_leaves_the_old_content_alone(tmp_path: Path, monkeypatch):
    path = write_whole(tmp_path / "a.bin", b"old")

    def full(file: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
