"""RULER's two question answering tasks: the documents of a question among those of others."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.prompts import GeneratedConfig, Prompts
from lampe.evaluation.ruler.base import FULL, PAPER, RulerTask
from lampe.evaluation.ruler.scoring import any_found

INSTRUCTION = (
    "Answer the question based on the given documents. Only give me the answer and do not output any other words."
)
BEFORE = f"{INSTRUCTION}\n\nThe following are given documents.\n\n"
QUESTION = f"\n\n{INSTRUCTION}\n\nQuestion: {{question}}"
ANSWER = " Answer:"
DOCUMENT = "Document {number}:\n{text}"
JOINT = "\n\n"


class QaConfig(GeneratedConfig):
    """The fields of the question answering tasks.

    Attributes:
        data: the data set's JSON file.
    """

    data: str


@dataclass(frozen=True)
class Question:
    """A question of a data set.

    Attributes:
        text: what is asked.
        answers: any of them is right.
        own: the documents that belong to it.
        near: the documents that distract first, such as the others of its article.
    """

    text: str
    answers: tuple[str, ...]
    own: tuple[str, ...]
    near: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """Questions, and all documents there are, each once and in a fixed order."""

    questions: Sequence[Question]
    documents: Sequence[str]


class Qa(RulerTask):
    """A question whose documents stand among other documents of its data set, in random order.

    The context of number i is that of the i-th question, as officially. Distractors are drawn: first among the
    documents of the question's own article, where there are any, then among all others; one that no longer fits is
    passed over, until the prompt is full to 99 %. Where all fit, they are taken again.

    The score is 1 where the answer contains one of the right ones.
    """

    new_tokens = 32
    source: ClassVar[str]
    """What the file is, for messages."""

    @staticmethod
    @abstractmethod
    def read(data: Any) -> DataSet:
        """The data set of a parsed file.

        Raises:
            KeyError, TypeError, ValueError: the file is of another format.
        """

    def score(self, output: str, sample: Sample) -> float:
        return any_found(output, sample.references)

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        questions = self._data.questions
        if trial >= len(questions):
            raise ConfigError(
                f"task {self.config.kind!r}: samples = {self.config.samples}, but {self.config.data} has "
                f"{len(questions)} questions with an answer"
            )
        question = questions[trial]
        chosen = self._fill(prompts, question, length, draws)
        documents = draws.sample(chosen, len(chosen))
        while len(ids := _prompt(prompts, question, documents)) > length:
            # Documents that were counted one by one may have a token more in a row.
            chosen.pop()
            documents = draws.sample(chosen, len(chosen))
        facts: dict[str, Fact] = {"question": trial, "documents": len(documents)}
        if len(question.own) == 1:
            facts["depth"] = round(documents.index(question.own[0]) / len(documents), 4)
        yield self.sample(prompts, length, trial, ids, question.answers, facts)

    def _fill(self, prompts: Prompts, question: Question, length: int, draws: Random) -> list[str]:
        """The documents of a question, and as many distractors as there is room for."""
        chosen = list(question.own)
        tokens = len(_prompt(prompts, question, chosen))
        if tokens > length:
            raise ConfigError(
                f"task {self.config.kind!r}: a prompt of {length} tokens is too short; the documents of question "
                f"{question.text!r} need {tokens}"
            )
        taken = {*question.own, *question.near}
        others = [document for document in self._data.documents if document not in taken]
        distractors = draws.sample(question.near, len(question.near)) + draws.sample(others, len(others))
        all_fit = bool(distractors)
        while all_fit and tokens < FULL * length:
            for document in distractors:
                more = prompts.count(JOINT + DOCUMENT.format(number=len(chosen) + 1, text=document))
                if tokens + more > length:
                    all_fit = False
                    continue
                chosen.append(document)
                tokens += more
                if tokens >= FULL * length:
                    break
        return chosen

    @cached_property
    def _data(self) -> DataSet:
        path = Path(self.config.data)
        if not path.is_file():
            raise ConfigError(
                f"task {self.config.kind!r}: data = {self.config.data!r}: there is no such file; give {self.source}"
            )
        try:
            data_set = self.read(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError, AttributeError):
            data_set = DataSet((), ())
        if not data_set.questions:
            raise ConfigError(
                f"task {self.config.kind!r}: data = {self.config.data!r} is of another format, or has no question; "
                f"give {self.source}"
            )
        return data_set


@registry.register("qa-1", summary="questions of SQuAD among many paragraphs (RULER)", paper=PAPER)
class SquadQa(Qa):
    """Questions of SQuAD 2.0 that have an answer, each with its paragraph."""

    class Config(QaConfig):
        """The fields of qa-1."""

        kind: Literal["qa-1"] = "qa-1"

    source = "the development set of SQuAD 2.0 (dev-v2.0.json)"

    @staticmethod
    def read(data: Any) -> DataSet:
        questions = []
        documents: set[str] = set()
        for article in data["data"]:
            paragraphs = dict.fromkeys(paragraph["context"] for paragraph in article["paragraphs"])
            documents.update(paragraphs)
            for paragraph in article["paragraphs"]:
                own = paragraph["context"]
                near = tuple(other for other in paragraphs if other != own)
                for entry in paragraph["qas"]:
                    if not entry["is_impossible"]:
                        answers = dict.fromkeys(answer["text"] for answer in entry["answers"])
                        questions.append(Question(entry["question"], tuple(answers), (own,), near))
        return DataSet(questions, sorted(documents))


@registry.register("qa-2", summary="questions of HotpotQA among many paragraphs (RULER)", paper=PAPER)
class HotpotQa(Qa):
    """Questions of HotpotQA, each with its ten paragraphs: the two that answer it, and eight that distract."""

    class Config(QaConfig):
        """The fields of qa-2."""

        kind: Literal["qa-2"] = "qa-2"

    source = "the development set of HotpotQA with distractors (hotpot_dev_distractor_v1.json)"

    @staticmethod
    def read(data: Any) -> DataSet:
        questions = []
        documents: set[str] = set()
        for entry in data:
            own = dict.fromkeys(f"{title}\n{''.join(sentences)}" for title, sentences in entry["context"])
            documents.update(own)
            questions.append(Question(entry["question"], (entry["answer"],), tuple(own)))
        return DataSet(questions, sorted(documents))


def _prompt(prompts: Prompts, question: Question, documents: Sequence[str]) -> list[int]:
    numbered = (DOCUMENT.format(number=number, text=text) for number, text in enumerate(documents, start=1))
    return prompts.encode(BEFORE + JOINT.join(numbered) + QUESTION.format(question=question.text), ANSWER)
