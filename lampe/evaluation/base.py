"""What every task is, what it measures with, and the record of one score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from lampe.config import FrozenModel
from lampe.registry import Registry, validate
from lampe.tokenizers import Tokenizer

if TYPE_CHECKING:
    from lampe.evaluation.runner import Runner

Fact = bool | int | float | str


class TaskConfig(FrozenModel):
    """The fields of all tasks."""

    kind: str


@dataclass(frozen=True)
class Sample:
    """One thing to be measured.

    Attributes:
        task: measures it.
        length: the number of tokens that it is a sample of.
        trial: samples of the same trial differ in length and in what the task varies, not in chance.
        ids: the context or prompt.
        facts: what sets it apart from the other samples of its length, e.g. place, depth, key.
        reference: the right answer, where there is one.
        new_tokens: how many tokens the model may make of it.
    """

    task: Task
    length: int
    trial: int
    ids: tuple[int, ...] = field(repr=False)
    facts: Mapping[str, Fact]
    reference: str | None = None
    new_tokens: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a task measured on one sample: its score, and the text that was scored if there was one."""

    score: float
    output: str | None = None


class Setting(FrozenModel):
    """What a score depends on besides the sample.

    Attributes:
        label: how tables and plots call the method.
        positional: the method's config.
        model: name or folder of the checkpoint.
        dtype: of the weights.
        attention: the backend's config.
        prefill_chunk: tokens that passed through the layers at once.
    """

    label: str
    positional: dict[str, Any]
    model: str
    dtype: str
    device: str
    attention: dict[str, Any]
    prefill_chunk: int
    lampe: str
    torch: str


class Record(FrozenModel):
    """The score of one sample under one method, and everything that made it.

    Attributes:
        task: the task's config.
        setting: model, method and machine.
        length: the number of tokens that was asked for.
        trial: as in `Sample`.
        facts: as in `Sample`.
        tokens: tokens of the context or prompt.
        prompt_sha256: of its text in UTF-8, so that prompts compare across tokenizers.
        reference: the right answer, where there is one.
        output: what the model answered, where the task lets it answer.
        score: in the unit of the task.
        seconds: wall clock.
    """

    task: dict[str, Any]
    setting: Setting
    length: int
    trial: int
    facts: dict[str, Fact]
    tokens: int
    prompt_sha256: str
    reference: str | None
    output: str | None
    score: float
    seconds: float

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

    def __init__(self, config: TaskConfig | None = None, **fields: Any):
        if config is None:
            config = validate(self.Config, fields, f"task {self.Config.model_fields['kind'].default!r}")
        self.config: Any = config

    @abstractmethod
    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        """All samples for these lengths, in tokens; those of one trial and length follow each other.

        Raises:
            ConfigError: a length, or the text, does not do for this task.
        """

    @abstractmethod
    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        """Measure one of `samples`."""

    @classmethod
    def aggregate(cls, scores: Sequence[float]) -> float:
        """The figure that stands for several scores: their mean."""
        return sum(scores) / len(scores)

    @classmethod
    def show(cls, scores: Sequence[float]) -> str:
        """That figure as a table shows it."""
        return f"{cls.aggregate(scores):.3f}"


def _import_builtin() -> None:
    import lampe.evaluation  # noqa: F401


registry: Registry[Task] = Registry("lampe.tasks", Task, "task", builtin=_import_builtin)
