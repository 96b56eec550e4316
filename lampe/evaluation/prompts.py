"""Prompts as the checkpoint expects them, of as many tokens as were asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Outcome, Sample, Task, TaskConfig
from lampe.tokenizers import Tokenizer

if TYPE_CHECKING:
    from lampe.evaluation.runner import Runner

Template = Literal["auto", "chat", "none"]

TODAY: Final = date(2024, 7, 26)
"""The day that every prompt is of, where the chat template writes one: what Llama 3.1's writes where it knows none.

The day of the run would make other prompts, and so another experiment, of the same task tomorrow.
"""


class Prompts:
    """Turns what a user says into the ids of a prompt.

    Args:
        tokenizer: of the checkpoint.
        template: "chat" writes the prompt with the checkpoint's chat template, "none" leaves it as it is, "auto" takes
            the template where there is one.
        enable_thinking: what the chat template is told under this name; None tells it nothing.

    Raises:
        TokenizerError: "chat", and there is no template.
    """

    def __init__(self, tokenizer: Tokenizer, template: Template = "auto", enable_thinking: bool | None = None):
        self.tokenizer = tokenizer
        self._variables: dict[str, Any] = {"today": TODAY}
        if enable_thinking is not None:
            self._variables["enable_thinking"] = enable_thinking
        self.templated = template == "chat" or (template == "auto" and tokenizer.chat_template is not None)
        if self.templated:
            self.encode("")

    def encode(self, user: str, answer: str = "") -> list[int]:
        """The ids of a prompt.

        Args:
            user: what the user says.
            answer: how the answer begins; the model goes on from there. It stands where the template puts an
                assistant's words (`Tokenizer.encode_chat`). Where there is no template it follows the user's text as it
                stands, so it brings the space that parts them.
        """
        if self.templated:
            # A template brings white space of its own, or none on purpose.
            messages = [{"role": "user", "content": user}]
            return self.tokenizer.encode_chat(messages, answer=answer.lstrip(), **self._variables)
        return self.tokenizer.encode_prompt(user + answer)

    def count(self, text: str) -> int:
        """How many tokens a text has by itself."""
        return len(self.tokenizer.encode(text, add_special=False))


class PromptConfig(TaskConfig):
    """The fields of tasks that ask the model.

    Attributes:
        template: "chat" writes prompts with the checkpoint's chat template, "none" does not, "auto" does where the
            checkpoint has one.
        enable_thinking: what a chat template that knows thoughts, as Qwen3's does, is told of them; None leaves it to
            the template. Where a benchmark gives the opening of the answer, the thoughts before it are empty either
            way.
        max_new_tokens: how long an answer may be; None leaves it to the benchmark.
    """

    template: Template = "auto"
    enable_thinking: bool | None = None
    max_new_tokens: int | None = Field(default=None, ge=1)

    later = ("enable_thinking",)


class GeneratedConfig(PromptConfig):
    """The fields of tasks whose prompts are made up, to any length.

    Attributes:
        samples: how many contexts are made for each length.
        seed: of the contexts. One of a length and number does not depend on how many others are made.
    """

    samples: int = Field(default=10, ge=1)
    seed: int = 42


class PromptTask(Task):
    """A task that asks the model and scores the text of its answer."""

    new_tokens: int = 128
    """How long an answer may be, by the benchmark."""

    @abstractmethod
    def score(self, output: str, sample: Sample) -> float:
        """The score of an answer, from 0 to 1."""

    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        output = runner.answer(sample)
        return Outcome(self.score(output, sample), output)

    @classmethod
    def shown(cls, figure: float) -> str:
        """In per cent, as benchmarks print it."""
        return f"{100 * figure:.1f}"

    @property
    def answer_tokens(self) -> int:
        """How long an answer may be, by the config or else by the benchmark."""
        return int(self.config.max_new_tokens or self.new_tokens)


class GeneratedTask(PromptTask):
    """A task whose prompts are made up from random draws; a subclass says how one context of a length is made."""

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        prompts = Prompts(tokenizer, self.config.template, self.config.enable_thinking)
        for trial in range(self.config.samples):
            for length in lengths:
                draws = Random(f"{self.config.kind} {self.config.seed} {length} {trial}")
                yield from self.context(prompts, length, trial, draws)

    @abstractmethod
    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        """The sample, or several questions about one context, of a trial.

        Args:
            prompts: makes ids.
            length: tokens of the prompt, its template included.
            trial: number of the context.
            draws: where all chance comes from.

        Raises:
            ConfigError: the length leaves no room for what the task needs.
        """


def largest(size: Callable[[int], int], length: int, *, least: int = 1, most: int | None = None, task: str) -> int:
    """The largest number of units whose prompt has at most `length` tokens.

    Args:
        size: tokens of a prompt of so many units; it grows with them.
        length: tokens.
        least: the fewest units that do.
        most: the most units that there are; None for no end.
        task: its name, for the sentence.

    Raises:
        ConfigError: a prompt of the fewest units is too long already.
    """
    low, low_size = least, size(least)
    if low_size > length:
        raise ConfigError(f"task {task!r}: a prompt of {length} tokens is too short; it needs at least {low_size}")
    start, start_size, step = low, low_size, 1
    high = high_size = None
    while high is None or high - low > 1:
        # Sizes are nearly linear in the units, so a line through two of them hits the mark within a few tries.
        if high is None or high_size is None:
            grown = low_size - start_size
            step = max(2 * step, (length - low_size) * (low - start) // grown + 1) if grown > 0 else 2 * step
            guess = low + step if most is None else min(low + step, most)
        else:
            share = (length - low_size) / (high_size - low_size)
            guess = min(max(low + round(share * (high - low)), low + 1), high - 1)
        guess_size = size(guess)
        if guess_size > length:
            high, high_size = guess, guess_size
        else:
            low, low_size = guess, guess_size
            if guess == most:
                break
    return low
