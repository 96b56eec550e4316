"""LongBench from its official files, cut in the middle to any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

from pydantic import Field, model_validator

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.jsonl import Line, read_lines
from lampe.evaluation.longbench.datasets import RULES, WITH_E, Dataset, Rules
from lampe.evaluation.longbench.scoring import PARAGRAPH
from lampe.evaluation.prompts import PromptConfig, Prompts, PromptTask
from lampe.evaluation.truncation import cut_middle
from lampe.tokenizers import Tokenizer

BUCKETS = ((4000, "0-4k"), (8000, "4-8k"))


@registry.register(
    "longbench",
    summary="one of the sixteen English and code datasets, from its official file",
    paper="https://arxiv.org/abs/2308.14508",
)
class LongBench(PromptTask):
    """A dataset of LongBench (Bai et al., arXiv 2308.14508), from the files that the authors publish.

    A prompt that is too long loses the middle of its tokens, as officially; here the chat template counts into the
    length. Prompts of examples (trec, triviaqa, samsum) and of code go to the model without the template, unless
    `template` is "chat". LongBench-E's three ranges of length are in the fact "bucket".

    Officially an answer to samsum also ends at its first line break, and may not begin with one. Here it goes on, and
    the first line that is not empty counts.
    """

    class Config(PromptConfig):
        """The fields of longbench.

        Attributes:
            dataset: which one.
            data: the folder that holds its file, e.g. hotpotqa.jsonl, or hotpotqa_e.jsonl.
            e: read LongBench-E, whose lengths are even.
            limit: how many of its samples, from the first; None takes all.
        """

        kind: Literal["longbench"] = "longbench"
        dataset: Dataset
        data: str
        e: bool = False
        limit: int | None = Field(default=None, ge=1)

        @model_validator(mode="after")
        def _has_e(self) -> LongBench.Config:
            if self.e and self.dataset not in WITH_E:
                raise ValueError(f"dataset {self.dataset!r} is not in LongBench-E: {', '.join(sorted(WITH_E))} are")
            return self

    suite = "longbench"

    @property
    def rules(self) -> Rules:
        """The dataset's words and limits."""
        return RULES[self.config.dataset]

    @property
    def default_name(self) -> str:
        return f"longbench{'-e' if self.config.e else ''}/{self.config.dataset}"

    @property
    def answer_tokens(self) -> int:
        return int(self.config.max_new_tokens or self.rules.new_tokens)

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        plain = self.config.template == "auto" and not self.rules.chat
        prompts = Prompts(tokenizer, "none" if plain else self.config.template, self.config.enable_thinking)
        lines = read_lines(self.config.data, f"{self.config.dataset}{'_e' * self.config.e}.jsonl", self.name)
        for trial, line in enumerate(islice(lines, self.config.limit)):
            user = self.rules.prompt.format(context=line.text("context"), input=line.text("input"))
            references = self._references(line)
            for length in lengths:
                text, cut = cut_middle(tokenizer, user, prompts.encode, length, task=self.name)
                yield Sample(
                    self,
                    length,
                    trial,
                    prompts.encode(text),
                    {**self._facts(line), "cut": cut},
                    references,
                    self.answer_tokens,
                    templated=prompts.templated,
                )

    def score(self, output: str, sample: Sample) -> float:
        if self.rules.first_line:
            output = output.lstrip("\n").split("\n")[0]
        classes = [str(value) for name, value in sample.facts.items() if name.startswith("class ")]
        return self.rules.score(output, sample.references, classes)

    def _references(self, line: Line) -> tuple[str, ...]:
        references = tuple(line.texts("answers"))
        if not references:
            raise ConfigError(f"{line.where}: the field 'answers' is empty: an answer or more would be accepted")
        if self.config.dataset == "passage_retrieval_en" and not all(map(PARAGRAPH.search, references)):
            raise ConfigError(f"{line.where}: the field 'answers' names no 'Paragraph' and number")
        return references

    def _facts(self, line: Line) -> dict[str, Fact]:
        facts: dict[str, Fact] = {"id": str(line.record.get("_id", ""))}
        if self.config.e:
            words = line.record.get("length")
            if not isinstance(words, int):
                raise ConfigError(f"{line.where}: the field 'length' is missing or no number of words")
            facts["bucket"] = next((name for end, name in BUCKETS if words < end), "8k+")
        if self.config.dataset == "trec":
            classes = line.texts("all_classes")
            if not classes:
                raise ConfigError(f"{line.where}: the field 'all_classes' is empty: a class or more would be accepted")
            facts |= {f"class {index}": name for index, name in enumerate(classes)}
        return facts
