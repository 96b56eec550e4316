"""What every task is, what it measures with, and the record of one score."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from lampe.config import FrozenModel
from lampe.errors import ConfigError
from lampe.registry import Registry, validate
from lampe.tokenizers import Tokenizer

if TYPE_CHECKING:
    from lampe.evaluation.runner import Runner

Fact = bool | int | float | str


class Grown(FrozenModel):
    """A model that gained fields after the first of its records were written: they are as if they were not there."""

    later: ClassVar[tuple[str, ...]] = ()
    """Fields that a dump leaves out where they are None."""

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name not in self.later or value is not None}


class TaskConfig(Grown):
    """The fields of all tasks.

    Attributes:
        label: how tables call the task; None leaves it to the task.
    """

    kind: str
    label: str | None = Field(default=None, min_length=1)


@dataclass(frozen=True)
class Sample:
    """One thing to be measured.

    Attributes:
        task: measures it.
        length: the number of tokens that it is a sample of.
        trial: samples of the same trial differ in length and in what the task varies, not in chance.
        ids: the context or prompt.
        facts: what sets it apart from the other samples of its length, e.g. place, depth, key.
        references: the right answers, where there are any; the task says whether all or one of them are asked for.
        new_tokens: how many tokens the model may make of it.
        shared: how many tokens it begins with that other samples of its trial and length begin with too. The runner
            reads them by themselves and only once, so a score does not depend on which of the samples ran before.
        templated: whether the prompt went through the checkpoint's chat template.
    """

    task: Task
    length: int
    trial: int
    ids: Sequence[int] = field(repr=False)
    facts: Mapping[str, Fact]
    references: tuple[str, ...] = ()
    new_tokens: int = 0
    shared: int = 0
    templated: bool = False

    def check(self) -> None:
        """Refuse what no record could hold, or no results file give back.

        Raises:
            ConfigError: names the task, the fact and its value, or the references.
        """
        subject = f"task {self.task.name!r} makes a sample of {self.length} tokens, trial {self.trial},"
        for name, value in self.facts.items():
            if not isinstance(name, str):
                raise ConfigError(f"{subject} with a fact that is named {name!r}: a text would be accepted")
            if not _is_fact(value):
                raise ConfigError(
                    f"{subject} with the fact {name} = {value!r}: a finite number, a text, True or False would be "
                    "accepted"
                )
        references: Any = self.references
        if not isinstance(references, (tuple, list)) or not all(isinstance(text, str) for text in references):
            raise ConfigError(f"{subject} with references = {references!r}: a tuple of texts would be accepted")


def _is_fact(value: object) -> bool:
    return isinstance(value, Fact) and not (isinstance(value, float) and not math.isfinite(value))


@dataclass(frozen=True)
class Outcome:
    """What a task measured on one sample: its score, and the text that was scored if there was one."""

    score: float
    output: str | None = None


class Setting(Grown):
    """What a score depends on besides the sample.

    Attributes:
        label: how tables and plots call the method.
        positional: the method's config, and what it left to be found (`PositionalEncoding.described`).
        model: name or folder of the checkpoint.
        fingerprint: of the checkpoint's weights, where they came from files (`lampe.checkpoint.fingerprint`).
        tokenizer: SHA-256 of the tokenizer's files.
        template: SHA-256 of the chat template, where the checkpoint has one.
        dtype: of the weights.
        attention: the backend's config.
        prefill_chunk: tokens that passed through the layers at once.
        threads: that the CPU computed with, of which the last bits of a score depend; None elsewhere.
        method_code: digest of the code of a method that is not lampe's (`lampe.digest.code_digest`); a file leaves it
            out where it is None.
    """

    label: str
    positional: dict[str, Any]
    model: str
    fingerprint: str | None = None
    tokenizer: str | None = None
    template: str | None = None
    dtype: str
    device: str
    attention: dict[str, Any]
    prefill_chunk: int
    threads: int | None = None
    lampe: str
    torch: str
    method_code: str | None = None

    later = ("method_code",)


class Record(Grown):
    """The score of one sample under one method, and everything that made it.

    Attributes:
        name: of the task, as tables call it.
        task: the task's config; its seed is in it.
        setting: model, method and machine.
        length: the number of tokens that was asked for.
        trial: as in `Sample`.
        facts: as in `Sample`.
        tokens: tokens of the context or prompt.
        prompt_sha256: of its text in UTF-8, so that prompts compare across tokenizers.
        templated: whether it went through the checkpoint's chat template.
        new_tokens: how many tokens the model was allowed to make.
        references: the right answers, where there are any.
        output: what the model answered, where the task lets it answer.
        score: in the unit of the task; null in JSON where it is no finite number.
        task_code: of the task, as `method_code` of the setting.
        seconds: wall clock; not part of a results file, which is the same however often it is made.
    """

    name: str
    task: dict[str, Any]
    setting: Setting
    length: int
    trial: int
    facts: dict[str, Fact]
    tokens: int
    prompt_sha256: str
    templated: bool = False
    new_tokens: int = 0
    references: tuple[str, ...] = ()
    output: str | None = None
    score: float
    task_code: str | None = None
    seconds: float = 0.0

    later = ("task_code",)

    @field_validator("score", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return math.nan if value is None else value

    @property
    def kind(self) -> str:
        """The registered name of the task."""
        return str(self.task["kind"])


class Task(ABC):
    """Something that can be measured of a model, at any length.

    Args:
        config: the task's own `Config`; None makes one from `fields`.

    Raises:
        ConfigError: a field is unknown or its value is not accepted.
    """

    Config: ClassVar[type[TaskConfig]]
    higher_is_better: ClassVar[bool] = True
    suite: ClassVar[str | None] = None
    """The benchmark that the task is a part of; a report shows the mean of a suite."""
    unit: ClassVar[str] = "score"
    """What the figure is, as the axis of a plot names it."""

    def __init__(self, config: TaskConfig | None = None, **fields: Any):
        if config is None:
            config = validate(self.Config, fields, f"task {self.Config.model_fields['kind'].default!r}")
        self.config: Any = config

    @classmethod
    def averaged_in(cls, config: Mapping[str, Any]) -> str | None:
        """In whose mean a task with this config, as a record has it, is: its suite's, unless that has parts."""
        return cls.suite

    @property
    def name(self) -> str:
        """How tables call it."""
        return str(self.config.label or self.default_name)

    @property
    def default_name(self) -> str:
        """That name where the config does not give one."""
        return str(self.config.kind)

    @abstractmethod
    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        """All samples for these lengths, in tokens, trial by trial; those of one trial and length follow each other.

        Raises:
            ConfigError: a length, or the text, does not do for this task.
        """

    @abstractmethod
    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        """Measure one of `samples`."""

    @classmethod
    def figure(cls, mean: float) -> float:
        """The figure that stands for several scores with this mean: the mean itself."""
        return mean

    @classmethod
    def aggregate(cls, scores: Sequence[float]) -> float:
        """The figure of several scores."""
        return cls.figure(sum(scores) / len(scores))

    @classmethod
    def shown(cls, figure: float) -> str:
        """A figure as a table shows it."""
        return f"{figure:.3f}"

    @classmethod
    def show(cls, scores: Sequence[float]) -> str:
        """The figure of several scores as a table shows it."""
        return cls.shown(cls.aggregate(scores))


def _import_builtin() -> None:
    import lampe.evaluation  # noqa: F401


registry: Registry[Task] = Registry("lampe.tasks", Task, "task", builtin=_import_builtin)
