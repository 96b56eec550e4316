"""What stands for code that is not lampe's, in records of what it made."""

from __future__ import annotations

import contextlib
import inspect
import sys
from hashlib import sha256
from importlib import metadata
from weakref import WeakKeyDictionary


def code_digest(cls: type) -> str | None:
    """Stands for the code of a class that is not lampe's: another digest, other code.

    It is made of the modules that define the class and its bases, without lampe's and Python's own: of their source, or
    else of the version of the package that brings them. What those modules import is not part of it.

    Returns:
        64 hexadecimal digits; None for a class of lampe, whose version says it all, and where nothing is known.
    """
    # A file that is edited while its code runs is not what runs.
    if cls not in _digests:
        names = dict.fromkeys(base.__module__ for base in cls.__mro__)
        foreign = [name for name in names if name.partition(".")[0] not in ("lampe", *sys.stdlib_module_names)]
        codes = [code for name in foreign if (code := _code_of(name)) is not None]
        _digests[cls] = sha256("\0".join(codes).encode()).hexdigest() if codes else None
    return _digests[cls]


_digests: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def _code_of(module: str) -> str | None:
    """The source of a module, or else the names and versions of the packages that bring it."""
    with contextlib.suppress(OSError, TypeError, KeyError):
        return inspect.getsource(sys.modules[module])
    packages = metadata.packages_distributions().get(module.partition(".")[0], ())
    return "\n".join(f"{package} {metadata.version(package)}" for package in packages) or None
