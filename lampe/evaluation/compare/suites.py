"""Benchmarks of several tasks: which tasks one entry of an experiment stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from lampe.errors import closest
from lampe.evaluation.base import Task, registry


class Member(NamedTuple):
    """A task of a suite, or one of the data sets that it reads.

    Attributes:
        name: what `without` and `data` call it: the data set's, or the task's registered one.
        cls: the task.
        fields: of its config, as far as they follow from that.
    """

    name: str
    cls: type[Task]
    fields: Mapping[str, Any]

    def has(self, field: str) -> bool:
        """Whether its config has such a field."""
        return field in self.cls.Config.model_fields

    @property
    def needs_data(self) -> bool:
        """Whether it cannot do without a file."""
        return self.has("data") and self.cls.Config.model_fields["data"].is_required()

    @property
    def made_up(self) -> str | None:
        """The data set of the suite's files that it makes up itself, where it does."""
        return None if self.has("dataset") else getattr(self.cls, "dataset", None)


def tasks_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tasks of a suite, each with those of the given fields that it has.

    A task whose file is not given is left out, and so is one that makes up a data set whose file is given.

    Args:
        entry: `suite`, and beside it `without`, names of tasks or data sets that are left out, `data`, where the files
            are (of all, or by those names), and fields of the tasks.

    Raises:
        ValueError: there is no such suite, name or field, or no task is left.
    """
    fields = dict(entry)
    suite, without, data = (fields.pop(name, None) for name in ("suite", "without", "data"))
    members = _members(suite)
    left_out = _left_out(suite, without, [member.name for member in members])
    chosen = [member for member in members if member.name not in left_out]
    # Also of what is left out: a data set that nobody wants is not to be made up instead.
    files = _files(suite, data, members, chosen)
    kept = [
        member for member in chosen if (member.name in files or not member.needs_data) and member.made_up not in files
    ]
    if chosen and not kept:
        raise ValueError(f"suite {suite!r}: 'data' is missing: where its files are, or a mapping by task")
    known = {name for member in kept for name in member.cls.Config.model_fields} - {"kind", "label", "dataset"}
    unknown = next((name for name in fields if name not in known), None)
    if unknown is not None:
        near = closest(str(unknown), {*known, "data"})
        raise ValueError(f"suite {suite!r}: no task of it has a field {unknown!r}{near}")
    return [
        {
            **member.fields,
            **({"data": files[member.name]} if member.name in files else {}),
            **{name: value for name, value in fields.items() if member.has(name)},
        }
        for member in kept
    ]


def _members(suite: Any) -> list[Member]:
    classes = [entry.cls for entry in registry.entries()]
    suites = sorted({cls.suite for cls in classes if cls.suite})
    if suite not in suites:
        raise ValueError(f"unknown suite {suite!r}{closest(str(suite), suites)}; there are: {', '.join(suites)}")
    members = []
    for cls in classes:
        if cls.suite == suite:
            kind, dataset = cls.Config.model_fields["kind"].default, cls.Config.model_fields.get("dataset")
            if dataset is None:
                members.append(Member(kind, cls, {"kind": kind}))
            else:
                names = get_args(dataset.annotation)
                members += [Member(name, cls, {"kind": kind, "dataset": name}) for name in names]
    return members


def _left_out(suite: str, without: Any, names: Sequence[str]) -> set[str]:
    if without is None:
        return set()
    if not isinstance(without, (list, tuple)) or not set(names).issuperset(map(str, without)):
        raise ValueError(
            f"suite {suite!r}: without = {without!r}: a list of these is accepted: {', '.join(sorted(names))}"
        )
    return set(map(str, without))


def _files(suite: str, data: Any, members: Sequence[Member], chosen: Sequence[Member]) -> dict[str, Any]:
    """What each member finds in its field `data`, by name."""
    readers = [member.name for member in members if member.has("data")]
    if data is None:
        return {}
    if not readers:
        raise ValueError(f"suite {suite!r}: no task of it has a field 'data'")
    if isinstance(data, Mapping):
        unknown = next((name for name in data if name not in readers), None)
        if unknown is not None:
            near = closest(str(unknown), readers)
            raise ValueError(
                f"suite {suite!r}: data names {unknown!r}, which is no task of it that reads a file{near}; those are: "
                f"{', '.join(readers)}"
            )
        return dict(data)
    own = [member for member in chosen if member.has("data")]
    if len({member.cls for member in own}) > 1:
        names = " and ".join(member.name for member in own)
        raise ValueError(
            f"suite {suite!r}: data = {data!r}, but {names} read files of different formats: a mapping would be "
            f"accepted, such as {{{own[0].name}: {data}}}; a task that it does not name is left out"
        )
    return dict.fromkeys(readers, data)
