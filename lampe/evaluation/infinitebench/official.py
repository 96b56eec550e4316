"""What InfiniteBench fixes for each dataset: the words of its prompt and how long an answer may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lampe.evaluation.base import Sample
from lampe.evaluation.infinitebench.scores import SCORES
from lampe.evaluation.prompts import GeneratedTask

PAPER = "https://arxiv.org/abs/2402.13718"


@dataclass(frozen=True)
class Rules:
    """The words and limits of a dataset.

    Attributes:
        user: what the user says, with the places of the sample's fields in braces.
        answer: how the answer begins.
        new_tokens: how long an answer may be.
    """

    user: str
    answer: str
    new_tokens: int

    def fill(self, **fields: str) -> tuple[str, str]:
        """What the user says and how the answer begins, for a sample."""
        return self.user.format(**fields), self.answer.format(**fields)


# These are the templates that the official repository (OpenBMB/InfiniteBench, src/prompt.py) has for open weights,
# `yarn_mistral_templates`; its limits of new tokens (src/eval_utils.py) hold for them only. They end with the opening
# of the answer. Where a chat template is used, what stands before it is the user's message and the opening begins the
# assistant's; where there is none, both follow each other and the prompt is the official one, letter by letter.
RULES: Mapping[str, Rules] = {
    "kv_retrieval": Rules(
        "Extract the value corresponding to the specified key in the JSON object below.\n\n{context}\n\n\n"
        'Key: "{key}"\n',
        "The value associated with the specified key is: ",
        50,
    ),
}


class InfiniteBenchTask(GeneratedTask):
    """One of the datasets that are made up, here to any length."""

    suite = "infinitebench"
    dataset: ClassVar[str]

    @property
    def rules(self) -> Rules:
        """Its words and limits."""
        return RULES[self.dataset]

    @property
    def answer_tokens(self) -> int:
        return int(self.config.max_new_tokens or self.rules.new_tokens)

    def score(self, output: str, sample: Sample) -> float:
        return SCORES[self.dataset](output, sample.references)
