"""The ideas as methods of the registry, in the process that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from examples.ablation.by_parts import LaMPEByParts
from examples.ablation.length_temperature import LaMPELengthTemperature
from examples.ablation.yarn_positions import LaMPEYaRN
from lampe.positional import LaMPE, registry

IDEAS: dict[str, tuple[type[LaMPE], str]] = {
    "lampe-yarn": (LaMPEYaRN, "LaMPE's positions on YaRN's frequencies, the extension shared"),
    "lampe-by-parts": (LaMPEByParts, "LaMPE's positions for slow frequencies, true ones for fast"),
    "lampe-length-temperature": (LaMPELengthTemperature, "LaMPE with a temperature that follows the length"),
}


def register() -> None:
    """Make them known by name."""
    for name, (cls, summary) in IDEAS.items():
        if name not in registry.names():
            registry.register(name, summary=summary)(cls)


@contextmanager
def registered() -> Iterator[None]:
    """They are known by name until the block ends."""
    with ExitStack() as stack:
        for name, (cls, summary) in IDEAS.items():
            stack.enter_context(registry.temporarily(name, cls, summary=summary))
        yield
