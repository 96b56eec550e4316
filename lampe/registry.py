"""One generic registry for positional methods, attention backends, model families and tasks.

A registered class has a name, aliases, a one-line summary, its paper, and a frozen pydantic `Config` whose `kind`
is its name. Installed packages add names through the entry-point group that carries the name of the registry; those
are loaded the first time a name is looked up.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from lampe.errors import ConfigError, UnknownNameError, closest, explain

T = TypeVar("T")
C = TypeVar("C", bound=type)
M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""A registered name: what a look-up makes of any spelling, and a command line can tell from what stands around it."""


class PluginWarning(UserWarning):
    """An installed package announces something that cannot be loaded."""


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What is known of one registered class."""

    name: str
    cls: type[T]
    summary: str
    paper: str | None = None
    aliases: tuple[str, ...] = ()


class Registry(Generic[T]):
    """Names to classes of one base.

    Args:
        group: the entry-point group, e.g. "lampe.positional".
        base: the class that everything registered must derive from.
        noun: what an entry is called in messages, e.g. "positional method".
        builtin: imports the modules of lampe that register their classes; called before the first look-up.
    """

    def __init__(self, group: str, base: type[T], noun: str, builtin: Callable[[], object] | None = None):
        self.group = group
        self.base = base
        self.noun = noun
        self._builtin = builtin
        self._entries: dict[str, Entry[T]] = {}
        self._aliases: dict[str, str] = {}
        self._loaded = False

    def register(
        self, name: str, *, summary: str, paper: str | None = None, aliases: tuple[str, ...] = ()
    ) -> Callable[[C], C]:
        """Class decorator that registers under `name`.

        Raises:
            TypeError: the class does not derive from the registry's base, or has no frozen `Config` of that `kind`.
            ValueError: the name or an alias is taken, or is one that no look-up could find.
        """

        def decorate(cls: C) -> C:
            self._add(name, cls, summary, paper, aliases)
            return cls

        return decorate

    @contextlib.contextmanager
    def temporarily(self, name: str, cls: type[T], *, summary: str = "registered for a test") -> Iterator[type[T]]:
        """Register `cls` under `name` until the block ends."""
        self._load()
        before = dict(self._entries), dict(self._aliases)
        self._add(name, cls, summary)
        try:
            yield cls
        finally:
            self._entries, self._aliases = before

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted registered names, without aliases; `pattern` may hold wildcards."""
        self._load()
        return sorted(fnmatch.filter(self._entries, pattern))

    def entries(self) -> list[Entry[T]]:
        """All entries in the order of registration."""
        self._load()
        return list(self._entries.values())

    def entry(self, name: str) -> Entry[T]:
        """The entry of a name or alias, in any case, with "_" for "-".

        Raises:
            UnknownNameError: names the nearest match and all that exist.
        """
        self._load()
        key = _spelled(name)
        key = self._aliases.get(key, key)
        if key not in self._entries:
            near = closest(key.split(":")[0], [*self._entries, *self._aliases])
            if ":" in name:
                near += '; fields stand in a mapping, {"kind": name, field: value}'
            raise UnknownNameError(f"unknown {self.noun} {name!r}{near}; there are: {', '.join(self.names())}")
        return self._entries[key]

    def get(self, name: str) -> type[T]:
        """The class registered under a name or alias."""
        return self.entry(name).cls

    def config(self, spec: str | Mapping[str, Any] | BaseModel) -> BaseModel:
        """Validate a name, a mapping with `kind`, or a config object into the frozen `Config` of its class.

        Raises:
            UnknownNameError: no class of that kind.
            ConfigError: it is none of these, or a field is unknown or its value is not accepted.
        """
        if isinstance(spec, BaseModel):
            kind = getattr(spec, "kind", None)
            if not isinstance(kind, str) or not isinstance(spec, _config_of(self.get(kind))):
                raise ConfigError(f"{type(spec).__name__} is not the config of a {self.noun}")
            return spec
        if not isinstance(spec, str | Mapping):
            raise ConfigError(
                f"{self.noun} {spec!r}: a name, or kind and fields, would be accepted; kinds: {', '.join(self.names())}"
            )
        fields = {"kind": spec} if isinstance(spec, str) else dict(spec)
        if not isinstance(fields.get("kind"), str):
            raise ConfigError(f"a {self.noun} needs a 'kind', got {fields!r}; kinds: {', '.join(self.names())}")
        entry = self.entry(fields["kind"])
        return validate(_config_of(entry.cls), {**fields, "kind": entry.name}, f"{self.noun} {entry.name!r}")

    def create(self, spec: str | Mapping[str, Any] | BaseModel, *context: Any) -> T:
        """Build the object that `spec` describes: `cls(config, *context)`."""
        config = self.config(spec)
        cls: Callable[..., T] = self.get(config.kind)  # type: ignore[attr-defined]
        return cls(config, *context)

    def _checked(self, name: str, cls: type) -> type[T]:
        if not (isinstance(cls, type) and issubclass(cls, self.base)):
            raise TypeError(f"{self.noun} {name!r}: {cls!r} does not derive from {self.base.__name__}")
        config = cls.__dict__.get("Config")
        if not (isinstance(config, type) and issubclass(config, BaseModel) and config.model_config.get("frozen")):
            raise TypeError(f"{self.noun} {name!r}: {cls.__name__} owns no frozen pydantic class named Config")
        kind = config.model_fields.get("kind")
        if kind is None or kind.default != name:
            raise TypeError(
                f'{self.noun} {name!r}: write `kind: Literal["{name}"] = "{name}"` in {cls.__name__}.Config'
            )
        return cls

    def _add(self, name: str, cls: type, summary: str, paper: str | None = None, aliases: tuple[str, ...] = ()) -> None:
        for each in (name, *aliases):
            if not NAME.fullmatch(each):
                spelled = _spelled(each)
                like = repr(spelled) if NAME.fullmatch(spelled) else 'small letters, digits, "-" and "."'
                raise ValueError(
                    f'{self.noun} {each!r}: look-ups take any case and "_" for "-", so {like} would be accepted'
                )
            taken = self._entries.get(self._aliases.get(each, each))
            if taken is not None:
                raise ValueError(f"{self.noun} {each!r} is already registered by {taken.cls.__module__}")
        self._entries[name] = Entry(name, self._checked(name, cls), summary, paper, aliases)
        self._aliases.update(dict.fromkeys(aliases, name))

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        if self._builtin is not None:
            self._builtin()
        for point in metadata.entry_points(group=self.group):
            self._load_plugin(point)

    def _load_plugin(self, point: metadata.EntryPoint) -> None:
        try:
            found = point.load()
        except Exception as error:  # whatever a stranger's module raises, the rest must stay usable
            self._warn_of(point, f"cannot be loaded and is left out: {type(error).__name__}: {error}")
            return
        if isinstance(found, type) and all(entry.cls is not found for entry in self._entries.values()):
            self._warn_of(
                point,
                f"is left out: {found.__name__} is not registered; @registry.register(name, summary=...) does that",
            )

    def _warn_of(self, point: metadata.EntryPoint, problem: str) -> None:
        package = f" of {point.dist.name}" if point.dist else ""
        warnings.warn(
            f"the plug-in {point.name!r}{package} ({self.noun}, {point.value}) {problem}", PluginWarning, stacklevel=3
        )


def _spelled(name: str) -> str:
    """A name as it is registered: look-ups take any case, and "_" for "-"."""
    return name.lower().replace("_", "-")


def validate(cls: type[M], fields: Mapping[str, Any], subject: str) -> M:
    """Validate `fields` as `cls`; what pydantic refuses becomes one sentence about `subject`.

    Raises:
        ConfigError: names the field, its value and what would be accepted.
    """
    unnamed = next((name for name in fields if not isinstance(name, str)), None)
    if unnamed is not None:
        raise ConfigError(
            f"{subject}: {unnamed!r} is no name of a field (YAML reads on, off, yes and no as true and false); "
            f"fields: {', '.join(cls.model_fields)}"
        )
    try:
        return cls.model_validate(dict(fields))
    except ValidationError as error:
        raise ConfigError(explain(error, subject, cls.model_fields)) from None


def _config_of(cls: type) -> type[BaseModel]:
    config: type[BaseModel] = cls.Config  # type: ignore[attr-defined]
    return config
