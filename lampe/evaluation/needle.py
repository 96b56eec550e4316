"""The needle grid: one sentence hidden in a long text, at every depth and length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from lampe.errors import ConfigError
from lampe.evaluation.base import Fact, Sample, registry
from lampe.evaluation.prompts import PromptConfig, Prompts, PromptTask, largest
from lampe.evaluation.prose import Prose
from lampe.evaluation.texts import Source
from lampe.tokenizers import Tokenizer

NEEDLE = "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day."
QUESTION = "What is the best thing to do in San Francisco? Answer in one sentence from the text above."


@registry.register(
    "needle",
    summary="a sentence hidden in a long text: found or not, over length and depth",
    paper="https://github.com/gkamradt/LLMTest_NeedleInAHaystack",
)
class Needle(PromptTask):
    """The needle in a haystack (Kamradt, 2023), scored by the words that an answer must hold.

    The needle stands behind a whole sentence, at a depth from the beginning of the text to its end. The original asks
    another model how good an answer is, from 1 to 10; here the score is the share of `answers` that it contains, case
    ignored.
    """

    class Config(PromptConfig):
        """The fields of the needle grid.

        Attributes:
            text: as for `perplexity`, but what is too short is repeated. The original has Paul Graham's essays.
            depths: where the needle stands; 0 is before the text, 1 behind it.
            places: in how many stretches of each document it is hidden.
            needle: the sentence.
            question: asked behind the text.
            answers: what a full answer contains.
        """

        kind: Literal["needle"] = "needle"
        text: Source = None
        depths: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
            default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), min_length=1
        )
        places: int = Field(default=1, ge=1)
        needle: str = Field(default=NEEDLE, min_length=1)
        question: str = Field(default=QUESTION, min_length=1)
        answers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
            default=("eat a sandwich", "Dolores Park"), min_length=1
        )

    new_tokens = 50

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        config = self.config
        missing = next((answer for answer in config.answers if answer.lower() not in config.needle.lower()), None)
        if missing is not None:
            raise ConfigError(f"task {self.name!r}: answers: {missing!r} is not in the needle, {config.needle!r}")
        prompts = Prompts(tokenizer, config.template, config.enable_thinking)
        longest = max(lengths)
        needed = longest + config.places
        documents = [prose.repeated(needed, tokenizer) for prose in Prose.documents(config.text, tokenizer)]
        for place in range(config.places):
            for index, prose in enumerate(documents):
                begin = prose.ends(longest, config.places)[place] - (longest - len(prose.prefix))
                for length in lengths:
                    for depth in sorted(config.depths):
                        ids, at = self._hide(prompts, prose, begin, length, depth)
                        facts: dict[str, Fact] = {"document": prose.name, "place": place, "depth": depth, "at": at}
                        trial = place * len(documents) + index
                        yield Sample(
                            self,
                            length,
                            trial,
                            ids,
                            facts,
                            config.answers,
                            self.answer_tokens,
                            templated=prompts.templated,
                        )

    def score(self, output: str, sample: Sample) -> float:
        found = [answer.lower() in output.lower() for answer in sample.references]
        return sum(found) / len(found)

    def _hide(self, prompts: Prompts, prose: Prose, begin: int, length: int, depth: float) -> tuple[list[int], int]:
        """A prompt, and how many of the haystack's tokens stand before the needle."""

        def write(tokens: int) -> tuple[list[int], int]:
            end = begin + tokens
            cut = begin if depth == 0 else prose.break_near(begin + round(depth * tokens), begin, end)
            cut = end if depth == 1 else cut
            before, after = (
                prompts.tokenizer.decode(ids).strip() for ids in (prose.ids[begin:cut], prose.ids[cut:end])
            )
            parts = [" ".join(filter(None, (before, self.config.needle, after))), self.config.question]
            return prompts.encode("\n\n".join(parts)), cut - begin

        tokens = largest(lambda count: len(write(count)[0]), length, most=len(prose.ids) - begin, task=self.name)
        return write(tokens)
