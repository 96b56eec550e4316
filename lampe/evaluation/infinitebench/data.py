"""InfiniteBench from its official files, cut in the middle to any length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Literal

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, RULES, Dataset, Rules
from lampe.evaluation.infinitebench.scores import SCORES
from lampe.evaluation.jsonl import Line, read_lines
from lampe.evaluation.prompts import PromptConfig, Prompts, PromptTask
from lampe.evaluation.truncation import cut_middle
from lampe.tokenizers import Tokenizer

CALL = re.compile(r"(func_[0-9]+)\(-?[0-9]+\)")
ASKED = re.compile(r"The (.+) of")
LETTERS = "ABCD"
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
WITHOUT_INPUT = ("longbook_sum_eng", "longdialogue_qa_eng", "math_calc", "code_debug")


@registry.register("infinitebench", summary="one of the twelve datasets, from its official file", paper=PAPER)
class InfiniteBench(PromptTask):
    """A dataset of InfiniteBench (Zhang et al., arXiv 2402.13718), from the files that the authors publish.

    A user's message that is too long loses the middle of its tokens, as officially, so that the whole prompt, template
    and opening of the answer included, has at most as many tokens as the length says. What stands after the long
    context must survive that.
    """

    class Config(PromptConfig):
        """The fields of infinitebench.

        Attributes:
            dataset: which one.
            data: the folder that holds its file, e.g. longbook_qa_eng.jsonl.
            limit: how many of its samples, from the first; None takes all.
        """

        kind: Literal["infinitebench"] = "infinitebench"
        dataset: Dataset
        data: str
        limit: int | None = Field(default=None, ge=1)

    suite = "infinitebench"

    @property
    def rules(self) -> Rules:
        """The dataset's words and limits."""
        return RULES[self.config.dataset]

    @property
    def default_name(self) -> str:
        return f"infinitebench/{self.config.dataset}"

    @property
    def answer_tokens(self) -> int:
        return int(self.config.max_new_tokens or self.rules.new_tokens)

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        prompts = Prompts(tokenizer, self.config.template, self.config.enable_thinking)
        lines = read_lines(self.config.data, f"{self.config.dataset}.jsonl", self.name)
        for trial, line in enumerate(islice(lines, self.config.limit)):
            values = fields(self.config.dataset, line)
            user, answer = self.rules.fill(**values)
            references = labels(self.config.dataset, line)
            tail = prompts.count(self.rules.user.partition("{context}")[2].format(**values))
            prompt = partial(prompts.encode, answer=answer)
            name = line.record.get("id", trial)
            if not isinstance(name, str | int | float):
                raise ConfigError(f"{line.where}: the field 'id' is neither text nor number")
            for length in lengths:
                shorter, cut = cut_middle(tokenizer, user, prompt, length, task=self.name)
                if cut and tail > prompts.count(shorter) // 2:
                    raise ConfigError(
                        f"{line.where}: a prompt of {length} tokens is too short for the question, which alone has "
                        f"{tail}; it must have less than half of them"
                    )
                yield Sample(
                    self,
                    length,
                    trial,
                    prompt(shorter),
                    {"id": name, "cut": cut},
                    references,
                    self.answer_tokens,
                    templated=prompts.templated,
                )

    def score(self, output: str, sample: Sample) -> float:
        return SCORES[self.config.dataset](output, sample.references)


def fields(dataset: str, line: Line) -> dict[str, str]:
    """What a sample puts into the template of its dataset.

    Raises:
        ConfigError: a field is missing or not as the official files have it.
    """
    names = ("context",) if dataset in WITHOUT_INPUT else ("context", "input")
    values = {name: line.text(name) for name in names}
    if dataset in ("longbook_choice_eng", "code_debug"):
        values |= zip(LETTERS, options(line), strict=True)
    elif dataset == "code_run":
        match = CALL.search(values["input"])
        if not match:
            raise ConfigError(f"{line.where}: the field 'input' names no call such as func_1(-2)")
        values |= {"func": match[1], "call": match[0]}
    elif dataset in ("math_find", "kv_retrieval"):
        # The input ends with the opening of the answer.
        head, mark, rest = values["input"].rpartition("The ")
        values |= {"input": head, "opening": mark + rest}
        if dataset == "math_find":
            match = ASKED.search(values["opening"])
            if not match:
                raise ConfigError(f"{line.where}: the field 'input' does not ask for 'The ... of'")
            values["prefix"] = f"What is the {match[1].lower()} in the following list?"
    return values


def labels(dataset: str, line: Line) -> tuple[str, ...]:
    """The references of a sample.

    Raises:
        ConfigError: there is no answer, or it is none of the options or no number where one is asked for.
    """
    answer = line.record.get("answer")
    answers = answer if isinstance(answer, list) else [answer]
    if answers and isinstance(answers[0], list):
        answers = answers[0]
    if not answers or not all(isinstance(value, str | int | float) for value in answers):
        raise ConfigError(f"{line.where}: the field 'answer' is neither text nor number nor a list")
    if dataset == "math_find" and not NUMBER.fullmatch(str(answers[0])):
        raise ConfigError(f"{line.where}: the field 'answer' is {answers[0]!r}: a number would be accepted")
    if dataset not in ("longbook_choice_eng", "code_debug"):
        return tuple(map(str, answers))
    choice = options(line)
    if answers[0] not in choice:
        raise ConfigError(f"{line.where}: the field 'answer' is none of its options")
    return answers[0], LETTERS[choice.index(answers[0])]


def options(line: Line) -> list[str]:
    """The four options."""
    found = line.texts("options")
    if len(found) != len(LETTERS):
        raise ConfigError(f"{line.where}: the field 'options' has {len(found)} texts; four are expected")
    return found
