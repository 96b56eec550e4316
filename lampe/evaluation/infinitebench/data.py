"""InfiniteBench from its official files, cut in the middle to any length."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, RULES, Dataset, Rules
from lampe.evaluation.infinitebench.scores import SCORES
from lampe.evaluation.prompts import PromptConfig, Prompts, PromptTask
from lampe.tokenizers import Tokenizer

CALL = re.compile(r"(func_[0-9]+)\(-?[0-9]+\)")
ASKED = re.compile(r"The (.+) of")
LETTERS = "ABCD"
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
        prompts = Prompts(tokenizer, self.config.template)
        path = Path(self.config.data) / f"{self.config.dataset}.jsonl"
        for trial, (where, record) in enumerate(islice(read(path), self.config.limit)):
            values = fields(self.config.dataset, record, where)
            user, answer = self.rules.fill(**values)
            references = labels(self.config.dataset, record, where)
            tail = self.rules.user.partition("{context}")[2].format(**values)
            ids = tokenizer.encode(user, add_special=False)
            for length in lengths:
                prompt, kept = cut(prompts, user, ids, answer, length)
                if kept < len(ids) and prompts.count(tail) > kept // 2:
                    raise ConfigError(
                        f"task {self.name!r}: a prompt of {length} tokens is too short for {where}, whose question "
                        f"alone has {prompts.count(tail)}; it must have less than half of them"
                    )
                facts = {"id": record.get("id", trial), "cut": len(ids) - kept}
                yield Sample(
                    self, length, trial, prompt, facts, references, self.answer_tokens, templated=prompts.templated
                )

    def score(self, output: str, sample: Sample) -> float:
        return SCORES[self.config.dataset](output, sample.references)


def cut(prompts: Prompts, user: str, ids: Sequence[int], answer: str, length: int) -> tuple[list[int], int]:
    """The prompt with as much of both ends of the user's message as fits.

    Args:
        prompts: makes ids.
        user: the message.
        ids: its tokens.
        answer: how the answer begins.
        length: the most tokens of the prompt.

    Returns:
        The prompt, and how many tokens of the message are left in it.

    Raises:
        ConfigError: what stands around the message fills the prompt.
    """
    prompt, kept = prompts.encode(user, answer), len(ids)
    while len(prompt) > length:
        # The ends may be cut otherwise where they meet, so a prompt can come out a token or two too long.
        kept -= len(prompt) - length
        if kept < 2:
            raise ConfigError(f"task 'infinitebench': a prompt of {length} tokens has no room for the user's message")
        # A code point that is cut through is left out.
        head = prompts.tokenizer.decode(ids[: kept // 2], skip_special=False).rstrip("\ufffd")
        tail = prompts.tokenizer.decode(ids[-(kept - kept // 2) :], skip_special=False).lstrip("\ufffd")
        prompt = prompts.encode(head + tail, answer)
    return prompt, kept


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file, each with how an error names it.

    Raises:
        ConfigError: there is no such file, or a line of it is no JSON object.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"task 'infinitebench': data = {str(path.parent)!r}: there is no such folder")
    if not path.is_file():
        raise ConfigError(f"task 'infinitebench': data = {str(path.parent)!r}: the folder holds no {path.name}")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"line {number} of {path}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"task 'infinitebench': {where} is not JSON: {error.msg}") from None
            if not isinstance(record, dict):
                raise ConfigError(f"task 'infinitebench': {where} is no JSON object")
            yield where, record


def fields(dataset: str, record: Mapping[str, Any], where: str) -> dict[str, str]:
    """What a sample puts into the template of its dataset.

    Raises:
        ConfigError: a field is missing or not as the official files have it.
    """
    names = ("context",) if dataset in WITHOUT_INPUT else ("context", "input")
    values = {name: text(record, name, where) for name in names}
    if dataset in ("longbook_choice_eng", "code_debug"):
        values |= zip(LETTERS, options(record, where), strict=True)
    elif dataset == "code_run":
        match = CALL.search(values["input"])
        if not match:
            raise ConfigError(f"task 'infinitebench': the field 'input' of {where} names no call such as func_1(-2)")
        values |= {"func": match[1], "call": match[0]}
    elif dataset in ("math_find", "kv_retrieval"):
        # The input ends with the opening of the answer.
        head, mark, rest = values["input"].rpartition("The ")
        values |= {"input": head, "opening": mark + rest}
        if dataset == "math_find":
            match = ASKED.search(values["opening"])
            if not match:
                raise ConfigError(f"task 'infinitebench': the field 'input' of {where} does not ask for 'The ... of'")
            values["prefix"] = f"What is the {match[1].lower()} in the following list?"
    return values


def labels(dataset: str, record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The references of a sample.

    Raises:
        ConfigError: there is no answer, or it is none of the options.
    """
    answer = record.get("answer")
    answers = answer if isinstance(answer, list) else [answer]
    if answers and isinstance(answers[0], list):
        answers = answers[0]
    if not answers or not all(isinstance(value, str | int | float) for value in answers):
        raise ConfigError(f"task 'infinitebench': the field 'answer' of {where} is neither text nor number nor a list")
    if dataset not in ("longbook_choice_eng", "code_debug"):
        return tuple(map(str, answers))
    choice = options(record, where)
    if answers[0] not in choice:
        raise ConfigError(f"task 'infinitebench': the field 'answer' of {where} is none of its options")
    return answers[0], LETTERS[choice.index(answers[0])]


def options(record: Mapping[str, Any], where: str) -> list[str]:
    """The four options."""
    found = record.get("options")
    if not isinstance(found, list) or len(found) != len(LETTERS) or not all(isinstance(item, str) for item in found):
        raise ConfigError(f"task 'infinitebench': the field 'options' of {where} is not a list of four texts")
    return found


def text(record: Mapping[str, Any], name: str, where: str) -> str:
    """A field that holds a text."""
    value = record.get(name)
    if not isinstance(value, str):
        raise ConfigError(f"task 'infinitebench': the field {name!r} of {where} is missing or no text")
    return value
