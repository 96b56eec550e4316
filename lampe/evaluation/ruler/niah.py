"""The eight tasks of RULER that hide needles in a haystack."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest
from lampe.evaluation.ruler.base import FULL, PAPER, RulerTask
from lampe.evaluation.ruler.haystacks import DEPTHS, Essay, Haystack, Lines
from lampe.evaluation.ruler.vocabulary import ADJECTIVES, NOUNS
from lampe.evaluation.texts import python_documentation, read_text
from lampe.session import shared_prefix

Kind = Literal["word", "number", "uuid"]

NEEDLE = "One of the special magic {kind}s for {key} is: {value}."

ONE_BEFORE = (
    "A special magic {kind} is hidden within the following text. Make sure to memorize it. "
    "I will quiz you about the {kind} afterwards.\n"
)
ONE_QUESTION = "\nWhat is the special magic {kind} for {query} mentioned in the provided text?"
ONE_ANSWER = " The special magic {kind} for {query} mentioned in the provided text is"

SOME_BEFORE = (
    "Some special magic {kind}s are hidden within the following text. Make sure to memorize it. "
    "I will quiz you about the {kind}s afterwards.\n"
)
SOME_QUESTION = "\nWhat are all the special magic {kind}s for {query} mentioned in the provided text?"
SOME_ANSWER = " The special magic {kind}s for {query} mentioned in the provided text are"

TRIES = 50
"""How many haystacks are drawn until one fills the prompt to `FULL`."""


class DepthConfig(GeneratedConfig):
    """The fields of tasks that ask for one needle.

    Attributes:
        depths: where it is hidden, a prompt for each; 0 is the beginning, 1 the end. None draws one depth.
    """

    depths: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)] | None = None


class EssayConfig(GeneratedConfig):
    """The fields of tasks that hide needles in prose.

    Attributes:
        text: a file, a folder of .txt files, or a name (python, python-library); None is "python".
    """

    text: str | None = None


class QuestionsConfig(DepthConfig):
    """The fields of tasks that hide several keys and ask for one.

    Attributes:
        questions: how many keys of one context are asked for, each in a prompt of its own. These prompts have equally
            many tokens and differ only from the question on, so that a runner reads their context once. With 1, the
            official form, every question has a context of its own.
    """

    questions: int = Field(default=1, ge=1, le=len(DEPTHS))

    @model_validator(mode="after")
    def _one_or_the_other(self) -> QuestionsConfig:
        if self.questions > 1 and self.depths is not None:
            raise ValueError(f"depths = {self.depths} is for questions = 1, and questions is {self.questions}")
        return self


@dataclass(frozen=True)
class Context:
    """A haystack with its needles, before it is filled.

    Attributes:
        haystack: what the needles are hidden in.
        needles: key and value of each.
        depths: where each stands.
        asked: the keys of each prompt.
    """

    haystack: Haystack
    needles: list[tuple[str, str]]
    depths: list[float]
    asked: list[list[str]]


class Niah(RulerTask):
    """Needles in a haystack: sentences that give a key a value, and a question for the values of some keys.

    Keys are an adjective and a noun, or a UUID; values are numbers of seven digits, or UUIDs. No key and no value of a
    context is drawn twice (officially one may be, and the question would then have two answers), and no value stands in
    the prose already.

    A haystack has as many lines, or words of prose, as the prompt has room for. Where a line is longer than a
    hundredth of the prompt (two UUIDs at 4,096 tokens), whole lines may leave more room than that. Then the context is
    drawn again, all of it and in the same way, until it fills 99 % of the prompt: UUIDs have different numbers of
    tokens, and so only contexts whose lines happen to add up are taken. Should none of 50 do, the fullest is.
    """

    haystack: ClassVar[Literal["noise", "needles", "essay"]]
    key_kind: ClassVar[Kind] = "word"
    value_kind: ClassVar[Kind] = "number"
    keys: ClassVar[int] = 1
    values: ClassVar[int] = 1
    queries: ClassVar[int] = 1

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        state = draws.getstate()
        for depth in getattr(self.config, "depths", None) or (None,):
            # Prompts of one trial differ in the depth alone.
            draws.setstate(state)
            context, ids = self._fill(prompts, length, depth, draws)
            shared = min(shared_prefix(ids[0], other) for other in ids[1:]) if ids[1:] else 0
            for keys, prompt in zip(context.asked, ids, strict=True):
                references = [value for asked in keys for key, value in context.needles if key == asked]
                facts = self._facts(context, keys)
                yield self.sample(prompts, length, trial, prompt, references, facts, shared=shared)

    def _fill(
        self, prompts: Prompts, length: int, depth: float | None, draws: Random
    ) -> tuple[Context, list[list[int]]]:
        """A context and its prompts, of as many tokens as there is room for."""
        best: tuple[Context, list[list[int]]] | None = None
        # Another draw of prose or noise has as many tokens.
        for _ in range(TRIES if self.haystack == "needles" else 1):
            context = self._draw(prompts, depth, draws)

            def tokens(size: int, context: Context = context) -> int:
                return len(self._prompt(prompts, context, size, 0))

            size = largest(tokens, length, task=self.config.kind)
            ids = [self._prompt(prompts, context, size, index) for index in range(len(context.asked))]
            if best is None or len(ids[0]) > len(best[1][0]):
                best = context, ids
            if len(ids[0]) >= FULL * length:
                break
        assert best is not None
        return best

    def _draw(self, prompts: Prompts, depth: float | None, draws: Random) -> Context:
        """A new context."""
        questions = getattr(self.config, "questions", 1)
        used: set[str] = set()
        keys = self._keys(prompts, questions, used, draws)
        needles = [(key, self._fresh(self.value_kind, used, draws)) for key in keys for _ in range(self.values)]
        asked = [keys] if self.queries > 1 else [[key] for key in keys[:questions]]
        haystack = self._haystack(used, draws)
        depths = haystack.depths(draws, len(needles))
        if depth is not None:
            depths[0] = depth
        return Context(haystack, needles, depths, asked)

    def _haystack(self, used: set[str], draws: Random) -> Haystack:
        if self.haystack == "essay":
            return self._essay
        if self.haystack == "noise":
            return Lines()
        return Lines(
            lambda: self._needle(self._fresh(self.key_kind, used, draws), self._fresh(self.value_kind, used, draws))
        )

    def _keys(self, prompts: Prompts, questions: int, used: set[str], draws: Random) -> list[str]:
        """The keys that are hidden on purpose, those that are asked for first; their questions are of one length."""
        first = self._fresh(self.key_kind, used, draws)
        keys = [first]
        tokens = self._question_tokens(prompts, first)
        while len(keys) < max(self.keys, self.queries, questions):
            key = self._fresh(self.key_kind, used, draws)
            if len(keys) >= questions or self._question_tokens(prompts, key) == tokens:
                keys.append(key)
        return keys

    def _fresh(self, kind: Kind, used: set[str], draws: Random) -> str:
        """A new key or value."""
        while True:
            item = _random(kind, draws)
            if item not in used and not (self.haystack == "essay" and item in self._essay.text):
                used.add(item)
                return item

    def _needle(self, key: str, value: str) -> str:
        return NEEDLE.format(kind=self.value_kind, key=key, value=value)

    def _wording(self, keys: list[str]) -> tuple[str, str, str]:
        """What stands before the context, the question after it, and how the answer begins."""
        query = keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])}, and {keys[-1]}"
        one = self.queries * self.values == 1
        texts = (ONE_BEFORE, ONE_QUESTION, ONE_ANSWER) if one else (SOME_BEFORE, SOME_QUESTION, SOME_ANSWER)
        before, question, answer = (text.format(kind=self.value_kind, query=query) for text in texts)
        return before, question, answer

    def _question_tokens(self, prompts: Prompts, key: str) -> int:
        _, question, answer = self._wording([key])
        return prompts.count(question) + prompts.count(answer)

    def _prompt(self, prompts: Prompts, context: Context, size: int, index: int) -> list[int]:
        """The ids of one prompt of a context of so many lines or words."""
        before, question, answer = self._wording(context.asked[index])
        needles = [self._needle(key, value) for key, value in context.needles]
        text = context.haystack.hide(size, list(zip(context.depths, needles, strict=True)))
        return prompts.encode(before + text + question, answer)

    def _facts(self, context: Context, keys: list[str]) -> dict[str, Fact]:
        stand = zip(context.depths, context.needles, strict=True)
        depths = [round(depth, 4) for depth, (key, _) in stand if key in keys]
        facts: dict[str, Fact] = {"key": ", ".join(keys)}
        if len(depths) == 1:
            facts["depth"] = depths[0]
        else:
            facts["depths"] = ", ".join(map(str, depths))
        return facts

    @cached_property
    def _essay(self) -> Essay:
        return Essay(python_documentation() if self.config.text is None else read_text(self.config.text))


def _random(kind: Kind, draws: Random) -> str:
    if kind == "word":
        return f"{draws.choice(ADJECTIVES)}-{draws.choice(NOUNS)}"
    if kind == "number":
        return str(draws.randint(1_000_000, 9_999_999))
    return str(uuid.UUID(int=draws.getrandbits(128), version=4))


@registry.register("niah-single-1", summary="a number hidden in one repeated line (RULER)", paper=PAPER)
class NiahSingle1(Niah):
    """A word's number in repeated noise."""

    class Config(DepthConfig):
        """The fields of niah-single-1."""

        kind: Literal["niah-single-1"] = "niah-single-1"

    haystack = "noise"


@registry.register("niah-single-2", summary="a number hidden in prose (RULER)", paper=PAPER)
class NiahSingle2(Niah):
    """A word's number in prose."""

    class Config(DepthConfig, EssayConfig):
        """The fields of niah-single-2."""

        kind: Literal["niah-single-2"] = "niah-single-2"

    haystack = "essay"


@registry.register("niah-single-3", summary="a UUID hidden in prose (RULER)", paper=PAPER)
class NiahSingle3(Niah):
    """A word's UUID in prose."""

    class Config(DepthConfig, EssayConfig):
        """The fields of niah-single-3."""

        kind: Literal["niah-single-3"] = "niah-single-3"

    haystack = "essay"
    value_kind = "uuid"


@registry.register("niah-multikey-1", summary="one of four numbers hidden in prose (RULER)", paper=PAPER)
class NiahMultikey1(Niah):
    """The number of one of four words in prose, or of more words where more are asked for."""

    class Config(QuestionsConfig, EssayConfig):
        """The fields of niah-multikey-1."""

        kind: Literal["niah-multikey-1"] = "niah-multikey-1"

    haystack = "essay"
    keys = 4


@registry.register("niah-multikey-2", summary="a number hidden among nothing but such numbers (RULER)", paper=PAPER)
class NiahMultikey2(Niah):
    """A word's number among the numbers of other words."""

    class Config(QuestionsConfig):
        """The fields of niah-multikey-2."""

        kind: Literal["niah-multikey-2"] = "niah-multikey-2"

    haystack = "needles"


@registry.register("niah-multikey-3", summary="a UUID's UUID hidden among nothing but such pairs (RULER)", paper=PAPER)
class NiahMultikey3(Niah):
    """A UUID's UUID among those of other UUIDs."""

    class Config(QuestionsConfig):
        """The fields of niah-multikey-3."""

        kind: Literal["niah-multikey-3"] = "niah-multikey-3"

    haystack = "needles"
    key_kind = "uuid"
    value_kind = "uuid"


@registry.register("niah-multivalue", summary="the four numbers of one word hidden in prose (RULER)", paper=PAPER)
class NiahMultivalue(Niah):
    """Four numbers of one word in prose."""

    class Config(EssayConfig):
        """The fields of niah-multivalue."""

        kind: Literal["niah-multivalue"] = "niah-multivalue"

    haystack = "essay"
    values = 4


@registry.register("niah-multiquery", summary="the numbers of four words hidden in prose (RULER)", paper=PAPER)
class NiahMultiquery(Niah):
    """The numbers of four words in prose."""

    class Config(EssayConfig):
        """The fields of niah-multiquery."""

        kind: Literal["niah-multiquery"] = "niah-multiquery"

    haystack = "essay"
    queries = 4
