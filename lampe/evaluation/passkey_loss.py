"""The loss of a hidden number: a passkey that needs no decoding, and shows how nearly it was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from lampe.evaluation.base import Fact, Outcome, Sample, Task, TaskConfig, registry
from lampe.evaluation.passkey import NEEDLE, QUESTION, draw_keys, hide
from lampe.evaluation.prose import Prose
from lampe.evaluation.runner import Runner
from lampe.evaluation.texts import Source
from lampe.tokenizers import Tokenizer


@registry.register(
    "passkey-loss",
    summary="loss of a number hidden in a long text, where it is asked for",
    paper="https://arxiv.org/abs/2305.16300",
)
class PasskeyLoss(Task):
    """The loss of a passkey's own tokens after the question that asks for it, in nats a token.

    A prompt is that of `passkey`, with the right answer behind it, and has exactly as many tokens as its length says.
    Depths are random, spread over the whole prompt, and the same at every length. The output is what the model held
    most likely in the places of the answer's tokens, each after the right ones before it.

    Where passkeys are found or not, this tells how far from it they are: it takes one pass, and few contexts.
    """

    higher_is_better = False
    unit = "loss of the key, nats a token"

    class Config(TaskConfig):
        """The fields of passkey-loss.

        Attributes:
            text: a file, a folder of .txt files, each of them a document, a name (python, python-library), or several
                of these; None is "python", the language reference. What is too short is repeated.
            places: in how many stretches of each document keys are hidden.
            keys: how many keys are hidden in each of them, one at a time.
            digits: of a key.
            seed: of the keys and depths.
        """

        kind: Literal["passkey-loss"] = "passkey-loss"
        text: Source = None
        places: int = Field(default=3, ge=1)
        keys: int = Field(default=2, ge=1)
        digits: int = Field(default=5, ge=2, le=12)
        seed: int = 0

    def samples(self, tokenizer: Tokenizer, lengths: Sequence[int]) -> Iterator[Sample]:
        config, needed = self.config, max(lengths) + self.config.places
        documents = [prose.repeated(needed, tokenizer) for prose in Prose.documents(config.text, tokenizer)]
        ends = [prose.ends(max(lengths), config.places) for prose in documents]
        text, wanted = "\n".join(prose.text for prose in documents), len(documents) * config.places * config.keys
        drawn = draw_keys(text, wanted, digits=config.digits, seed=config.seed, task=self.name)
        depths = iter(spread_depths(wanted, Random(f"{config.kind} {config.seed}")))
        for place in range(config.places):
            for index, prose in enumerate(documents):
                end = ends[index][place]
                hidden = []
                for _ in range(config.keys):
                    key = next(drawn)
                    needle = tuple(tokenizer.encode(NEEDLE.format(key=key), add_special=False))
                    hidden.append((key, next(depths), needle, *question_and_answer(tokenizer, key)))
                for length in lengths:
                    for key, depth, needle, asked, answer in hidden:
                        ids, at = hide(prose, end, length, depth, needle, asked + answer, task=self.name)
                        facts: dict[str, Fact] = {
                            "document": prose.name,
                            "place": place,
                            "depth": round(depth, 4),
                            "at": at,
                            "key": key,
                            "scored": len(answer),
                        }
                        yield Sample(self, length, place * len(documents) + index, ids, facts, (key,))

    def measure(self, runner: Runner, sample: Sample) -> Outcome:
        k = int(sample.facts["scored"])
        logits = runner.logits(sample.ids, last=k + 1)[:-1].float()
        targets = torch.tensor(list(sample.ids[-k:]), device=logits.device)
        guess = runner.tokenizer.decode(logits[:, : runner.tokenizer.vocab_size].argmax(-1).tolist())
        return Outcome(float(F.cross_entropy(logits, targets)), guess)


def spread_depths(count: int, draws: Random) -> list[float]:
    """Random depths from 0 to 1, one in each of as many equal parts, in random order: few of them cover all."""
    depths = [(part + draws.random()) / count for part in range(count)]
    draws.shuffle(depths)
    return depths


def question_and_answer(tokenizer: Tokenizer, key: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that ask for a key, and those that say it: a token that holds the end of one and the other's begin is
    part of the answer."""
    asked = tokenizer.encode(QUESTION, add_special=False)
    whole = tokenizer.encode(f"{QUESTION} {key}", add_special=False)
    same = next((index for index, pair in enumerate(zip(asked, whole, strict=False)) if pair[0] != pair[1]), len(asked))
    return tuple(whole[:same]), tuple(whole[same:])
