"""The ideas as methods of the registry, in the process that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from examples.ablation.by_parts import LaMPEByParts
from examples.ablation.length_temperature import LaMPELengthTemperature
from examples.ablation.yarn_positions import LaMPEYaRN
from lampe.positional import LaMPE, registry

IDEAS: dict[str, type[LaMPE]] = {
    "lampe-yarn": LaMPEYaRN,
    "lampe-by-parts": LaMPEByParts,
    "lampe-length-temperature": LaMPELengthTemperature,
}

SUMMARIES = {
    "lampe-yarn": "LaMPE's positions on YaRN's frequencies, the extension shared",
    "lampe-by-parts": "LaMPE's positions for slow frequencies, true ones for fast",
    "lampe-length-temperature": "LaMPE with a temperature that follows the length",
}


def register() -> None:
    """Make them known by name; a second call changes nothing.

    Raises:
        ValueError: another class has one of the names.
    """
    known = {entry.cls for entry in registry.entries()}
    for name, cls in IDEAS.items():
        if cls not in known:
            registry.register(name, summary=SUMMARIES[name])(cls)


@contextmanager
def registered() -> Iterator[None]:
    """They are known by name until the block ends; not to be entered where they are known already."""
    with ExitStack() as stack:
        for name, cls in IDEAS.items():
            stack.enter_context(registry.temporarily(name, cls, summary=SUMMARIES[name]))
        yield
