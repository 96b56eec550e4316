"""RULER's common words extraction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from lampe.evaluation.base import Sample, registry
from lampe.evaluation.prompts import GeneratedConfig, Prompts, largest
from lampe.evaluation.ruler.base import PAPER, RulerTask
from lampe.evaluation.ruler.vocabulary import ADJECTIVES, NOUNS, WORDS

BEFORE = (
    "Below is a numbered list of words. In these words, some appear more often than others. "
    "Memorize the ones that appear most often.\n"
)
QUESTION = "\nQuestion: What are the 10 most common words in the above list?"
ANSWER = " Answer: The top 10 words that appear most often in the list are:"
COMMON = 10


@dataclass(frozen=True)
class Shape:
    """How often words are listed.

    Attributes:
        common: how often each of the ten common words is.
        uncommon: how often each other word is.
        example_words: how many words the example has, the ten among them.
        example_common: as `common`, in the example.
        example_uncommon: as `uncommon`, in the example.
    """

    common: int
    uncommon: int
    example_words: int
    example_common: int
    example_uncommon: int


SHORT = Shape(common=6, uncommon=1, example_words=20, example_common=3, example_uncommon=1)
LONG = Shape(common=30, uncommon=3, example_words=40, example_common=10, example_uncommon=3)
LONG_FROM = 4096


@registry.register("cwe", summary="the ten words that a long list has most often (RULER)", paper=PAPER)
class CommonWords(RulerTask):
    """A shuffled list in which ten words come 30 times and all others three times: which are the ten?

    A solved example of 40 words, listed ten and three times, comes first. Below 4,096 tokens the ten words come six
    times and the others once, and the example has 20 words, listed three times and once. The example shares no word
    with the list (officially it may).

    Where the vocabulary has too few words to fill the prompt, the list is made of pairs of an adjective and a noun.
    Officially it is then made of words of a longer list.
    """

    class Config(GeneratedConfig):
        """The fields of cwe."""

        kind: Literal["cwe"] = "cwe"

    new_tokens = 120

    def context(self, prompts: Prompts, length: int, trial: int, draws: Random) -> Iterator[Sample]:
        shape = SHORT if length < LONG_FROM else LONG
        words = draws.sample(WORDS, len(WORDS))
        example, words = words[: shape.example_words], words[shape.example_words :]
        chance = draws.random()
        solved = _text(example, shape.example_common, shape.example_uncommon, chance) + ANSWER
        solved += f" {_numbered(example[:COMMON])}\n"

        def prompt(size: int) -> list[int]:
            if size > len(words):
                _pair_up(words, size, draws)
            return prompts.encode(solved + _text(words[:size], shape.common, shape.uncommon, chance), ANSWER)

        def fill(most: int | None) -> int:
            return largest(lambda size: len(prompt(size)), length, least=COMMON + 1, most=most, task=self.config.kind)

        size = fill(len(words))
        if size == len(words):
            words.clear()
            size = fill(None)
        yield self.sample(prompts, length, trial, prompt(size), words[:COMMON], {"words": size})


def _pair_up(pairs: list[str], size: int, draws: Random) -> None:
    """Add new pairs of words until there are `size`."""
    used = set(pairs)
    while len(pairs) < size:
        pair = f"{draws.choice(ADJECTIVES)}-{draws.choice(NOUNS)}"
        if pair not in used:
            used.add(pair)
            pairs.append(pair)


def _text(words: list[str], common: int, uncommon: int, chance: float) -> str:
    """The question for a list of words, of which the first ten are the common ones."""
    listed = [*words[:COMMON] * common, *words[COMMON:] * uncommon]
    # The order is always the same for one chance and list, so that its size is the one that was measured.
    Random(chance).shuffle(listed)
    return BEFORE + _numbered(listed) + QUESTION


def _numbered(words: Sequence[str]) -> str:
    return " ".join(f"{number}. {word}" for number, word in enumerate(words, start=1))
