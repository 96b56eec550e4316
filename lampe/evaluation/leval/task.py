"""L-Eval from its official files, documents cut in the middle to any length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.jsonl import Line, read_lines
from lampe.evaluation.leval import scoring
from lampe.evaluation.leval.datasets import (
    CLOSED,
    DOCUMENTS_WORLD,
    EXAM_ANSWER,
    NEW_TOKENS,
    REAL_WORLD,
    Dataset,
    frame,
)
from lampe.evaluation.prompts import PromptConfig, Prompts, PromptTask
from lampe.evaluation.truncation import cut_middle
from lampe.session import shared_prefix
from lampe.tokenizers import Tokenizer

SCORES = {
    "coursera": scoring.several_options,
    "gsm100": scoring.number,
    "quality": scoring.one_option,
    "sci_fi": scoring.judgement,
    "tpo": scoring.one_option,
}
ACCEPTED = {
    "coursera": "letters from A to D",
    "gsm100": "a number",
    "quality": "a letter from A to D",
    "sci_fi": "the form 'True [fact: False]'",
    "tpo": "a letter from A to D",
}


class Question(NamedTuple):
    """A question of a document: its number, its words, the right answer."""

    number: int
    text: str
    reference: str


@registry.register(
    "leval",
    summary="one of the closed or open tasks on long documents, from its official file",
    paper="https://arxiv.org/abs/2307.11088",
)
class LEval(PromptTask):
    """A dataset of L-Eval (An et al., arXiv 2307.11088), from the files that the authors publish.

    The closed tasks are scored by exact match after the official rules. The open ones are scored by the automatic
    metric that the file names, F1 or ROUGE-L (which stands in where a person or a model is to judge). Each question of
    sci_fi is asked twice: of the document's world, and without the document of the real one; the score is the mean.

    A document that is too long loses its middle, where the official code takes off its end. All questions of a document
    see the same part of it, so that those whose prompts have equally many tokens share what they begin with. The system
    prompt stands before the document in the user's turn, since not every template has a turn for it. A blank answer
    to a question with options scores 0; officially it is a quarter right, or A if it is white space.
    """

    class Config(PromptConfig):
        """The fields of leval.

        Attributes:
            dataset: which one.
            data: the folder that holds its file, e.g. coursera.jsonl.
            limit: how many of its documents, from the first; None takes all.
            questions: how many questions of each document, from the first; None takes all.
        """

        kind: Literal["leval"] = "leval"
        dataset: Dataset
        data: str
        limit: int | None = Field(default=None, ge=1)
        questions: int | None = Field(default=None, ge=1)

    suite = "leval"
    new_tokens = NEW_TOKENS

    @classmethod
    def averaged_in(cls, config: Mapping[str, Any]) -> str:
        """Exact match of the closed tasks has a mean of its own, F1 and ROUGE of the open ones another."""
        return f"{cls.suite} ({'closed' if config['dataset'] in CLOSED else 'open'})"

    @property
    def default_name(self) -> str:
        return f"leval/{self.config.dataset}"

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        prompts = Prompts(tokenizer, self.config.template, self.config.enable_thinking)
        lines = read_lines(self.config.data, f"{self.config.dataset}.jsonl", self.name)
        for trial, line in enumerate(islice(lines, self.config.limit)):
            questions = self._questions(line)
            for length in lengths:
                yield from self._about(prompts, line, trial, length, questions)
                if self.config.dataset == "sci_fi":
                    yield from (self._of_the_world(prompts, line, trial, length, question) for question in questions)

    def score(self, output: str, sample: Sample) -> float:
        if self.config.dataset in CLOSED:
            return SCORES[self.config.dataset](output, sample.references)
        return scoring.open_answer(output, sample.references, str(sample.facts["metric"]))

    def _questions(self, line: Line) -> list[Question]:
        texts, outputs = line.texts("instructions"), line.texts("outputs")
        if len(texts) != len(outputs):
            raise ConfigError(f"{line.where}: {len(texts)} instructions, but {len(outputs)} outputs")
        if not texts:
            raise ConfigError(f"{line.where}: the field 'instructions' is empty: a question or more would be accepted")
        questions = [Question(index, *pair) for index, pair in enumerate(zip(texts, outputs, strict=True))]
        for question in questions:
            self._check(line, question.reference)
        return questions[: self.config.questions]

    def _check(self, line: Line, reference: str) -> None:
        """Refuse a reference that no answer could match."""
        dataset = self.config.dataset
        if dataset == "sci_fi":
            answerable = bool(scoring.judgements(reference))
        else:
            answerable = dataset not in CLOSED or SCORES[dataset](reference, (reference,)) == 1.0
        if not answerable:
            raise ConfigError(
                f"{line.where}: the output {reference!r} holds no answer: {ACCEPTED[dataset]} would be accepted"
            )

    def _about(
        self, prompts: Prompts, line: Line, trial: int, length: int, questions: Sequence[Question]
    ) -> Iterator[Sample]:
        """The questions about a document; those that share a beginning follow each other."""
        frames = {question: frame(self.config.dataset, question.text, question.reference) for question in questions}

        def prompt(question: Question, document: str) -> list[int]:
            before, after, answer = frames[question]
            return prompts.encode(before + document + after, answer)

        longest = max(questions, key=lambda question: len(prompt(question, "")))
        whole = line.text("input")
        document, cut = cut_middle(prompts.tokenizer, whole, lambda text: prompt(longest, text), length, task=self.name)
        made = {question: prompt(question, document) for question in questions}
        for question in sorted(questions, key=lambda question: (len(made[question]), question.number)):
            ids = made[question]
            alike = [other for other in made.values() if len(other) == len(ids)]
            shared = min((shared_prefix(ids, other) for other in alike if other != ids), default=0)
            yield self._sample(prompts, line, trial, length, question, ids, {"cut": cut}, shared)

    def _of_the_world(self, prompts: Prompts, line: Line, trial: int, length: int, question: Question) -> Sample:
        ids = prompts.encode(question.text.replace(DOCUMENTS_WORLD, REAL_WORLD), EXAM_ANSWER)
        return self._sample(prompts, line, trial, length, question, ids, {"cut": 0, "world": True}, 0)

    def _sample(
        self,
        prompts: Prompts,
        line: Line,
        trial: int,
        length: int,
        question: Question,
        ids: Sequence[int],
        facts: dict[str, Fact],
        shared: int,
    ) -> Sample:
        facts = {"document": str(line.record.get("source", trial)), "question": question.number, **facts}
        reference = question.reference
        if self.config.dataset == "sci_fi":
            reference = scoring.judgements(reference)["world" in facts]
        elif self.config.dataset not in CLOSED:
            facts["metric"] = line.text("evaluation")
        return Sample(
            self,
            length,
            trial,
            ids,
            facts,
            (reference,),
            self.answer_tokens,
            shared,
            templated=prompts.templated,
        )
