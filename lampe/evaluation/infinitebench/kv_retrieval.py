"""InfiniteBench's Retrieve.KV: the value of one key of a long JSON object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Literal
from uuid import UUID

from pydantic import Field

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.infinitebench.official import PAPER, InfiniteBenchTask, place
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest
from lampe.session import shared_prefix

QUESTION = '\nKey: "{key}"\n'
OPENING = "The value associated with the specified key is: "
REDRAWS = 400
"""How many other values are tried to fill a prompt; with a tokenizer that cuts every value alike none helps."""


@registry.register(
    "infinitebench-kv-retrieval",
    summary="the value of one key among many random keys and values",
    paper=PAPER,
)
class KVRetrieval(InfiniteBenchTask):
    """Retrieve.KV: a JSON object of random UUIDs, and one key of it whose value is asked for.

    The object has as many pairs as fit. A pair is about 70 tokens, so whole pairs would miss a length of 4,096 by up to
    1.8 %: values are drawn anew, at random places, where the new one takes more tokens and still fits. With a tokenizer
    that cuts UUIDs unevenly the prompt then has all but a few of its tokens.

    Several questions about one context lie an equal share of it apart. Their keys are drawn such that their questions
    have the same number of tokens, so the prompts have too, and they share everything up to the key that is asked for.
    """

    class Config(GeneratedConfig):
        """The fields of infinitebench-kv-retrieval.

        Attributes:
            questions: how many keys are asked for, one at a time, of each context.
        """

        kind: Literal["infinitebench-kv-retrieval"] = "infinitebench-kv-retrieval"
        questions: int = Field(default=1, ge=1)

    dataset = "kv_retrieval"

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        # Draws of their own: how many pairs are drawn depends on how the number that fits is searched.
        redraws = Random(draws.random())
        asked = [(key, uuid(draws)) for key in self._keys(prompts, draws)]
        others: list[tuple[str, str]] = []

        def index(question: int, pairs: int) -> int:
            return int((question + place(trial)) / len(asked) * pairs)

        def prompt(count: int, question: int) -> list[int]:
            while len(others) < count:
                others.append((uuid(draws), uuid(draws)))
            pairs = others[:count]
            for number, pair in enumerate(asked):
                pairs.insert(index(number, count + len(asked)), pair)
            context = ", ".join(f'"{key}": "{value}"' for key, value in pairs)
            fields = {"context": f"JSON data:\n{{{context}}}", "input": QUESTION.format(key=asked[question][0])}
            return prompts.encode(*self.rules.fill(**fields, opening=OPENING))

        def ask(count: int) -> list[list[int]]:
            return [prompt(count, question) for question in range(len(asked))]

        small = ask(1)
        longest = max(range(len(asked)), key=lambda question: len(small[question]))
        count = largest(lambda count: len(prompt(count, longest)), length, task=self.config.kind)
        del others[count:]
        whole = list(others)
        redraw_longer(prompts, others, length - len(prompt(count, longest)), redraws)
        made = ask(count)
        if max(map(len, made)) > length:
            others = whole
            made = ask(count)
        while max(map(len, made)) > length:
            # What is longest with one pair need not be so with many; it fits with one.
            count -= 1
            made = ask(count)
        shared = min((shared_prefix(made[0], ids) for ids in made[1:]), default=0)
        pairs = count + len(asked)
        for question, ids in enumerate(made):
            facts = {"question": question, "depth": round(index(question, pairs) / (pairs - 1), 3), "pairs": pairs}
            references = (asked[question][1],)
            yield Sample(
                self, length, trial, ids, facts, references, self.answer_tokens, shared, templated=prompts.templated
            )

    def _keys(self, prompts: Prompts, draws: Random) -> list[str]:
        """The keys that are asked for: the questions of all have as many tokens as those of most UUIDs."""

        def tokens(key: str) -> int:
            # A tokenizer without words of its own may cut a key otherwise between quotation marks than by itself.
            return prompts.count(QUESTION.format(key=key))

        most = Counter(tokens(uuid(draws)) for _ in range(100)).most_common(1)[0][0]
        keys: list[str] = []
        while len(keys) < self.config.questions:
            key = uuid(draws)
            if tokens(key) == most:
                keys.append(key)
        return keys


def redraw_longer(prompts: Prompts, pairs: list[tuple[str, str]], tokens: int, draws: Random) -> None:
    """Replace some values by others that take more tokens, up to `tokens` more of them in all."""
    for _ in range(REDRAWS):
        if tokens == 0:
            return
        index, value = draws.randrange(len(pairs)), uuid(draws)
        key, old = pairs[index]
        more = prompts.count(value) - prompts.count(old)
        if 0 < more <= tokens:
            pairs[index] = key, value
            tokens -= more


def uuid(draws: Random) -> str:
    """A random UUID."""
    return str(UUID(int=draws.getrandbits(128), version=4))
