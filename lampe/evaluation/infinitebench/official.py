"""What InfiniteBench fixes for each dataset: the words of its prompt and how long an answer may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from lampe.evaluation.base import Sample
from lampe.evaluation.infinitebench.scores import SCORES
from lampe.evaluation.prompts import GeneratedTask

PAPER = "https://arxiv.org/abs/2402.13718"
GOLDEN = (5**0.5 - 1) / 2

Dataset = Literal[
    "passkey",
    "number_string",
    "kv_retrieval",
    "longbook_sum_eng",
    "longbook_choice_eng",
    "longbook_qa_eng",
    "longbook_qa_chn",
    "longdialogue_qa_eng",
    "math_find",
    "math_calc",
    "code_run",
    "code_debug",
]
DATASETS: tuple[str, ...] = get_args(Dataset)


@dataclass(frozen=True)
class Rules:
    """The words and limits of a dataset.

    Attributes:
        user: what the user says, with the places of the sample's fields in braces.
        answer: how the answer begins, likewise.
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
    "passkey": Rules(
        "There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. I will quiz you "
        "about the important information.\n\n{context}\n\n{input}\n\n",
        "The pass key is",
        6,
    ),
    "number_string": Rules(
        "There is an important info hidden inside a lot of irrelevant text. Find it. I will quiz you about the "
        "important information there.\n\n{context}\n\n{input}\n\n",
        "The sequence of digits is",
        12,
    ),
    "kv_retrieval": Rules(
        "Extract the value corresponding to the specified key in the JSON object below.\n\n{context}\n\n{input}",
        "{opening}",
        50,
    ),
    "longbook_sum_eng": Rules("Summarize the book below.\n\n{context}\n\n", "Summary:", 1200),
    "longbook_choice_eng": Rules(
        "Read the book and answer the question.\n\n{context}\n\nQuestion: {input}\nA. {A}\nB. {B}\nC. {C}\nD. {D}\n\n",
        "The letter of the correct answer is",
        40,
    ),
    "longbook_qa_eng": Rules(
        "Read the book and answer the question. Be very concise in your answer.\n\n{context}\n\nQuestion: {input}\n",
        "Answer:",
        40,
    ),
    "longbook_qa_chn": Rules("阅读以下书籍然后回答问题。\n\n{context}\n\n问题：{input}\n", "答案：", 40),
    "longdialogue_qa_eng": Rules(
        "Below is a dialogue script where one random occurrence of a character name is replaced with "
        '"$$MASK$$", and you should try to guess who that character is.\n\n{context}\n\n',
        "The name that has been replaced with $$MASK$$ is likely",
        40,
    ),
    "math_find": Rules("{prefix}\n\n{context}\n\n{input}", "{opening}", 3),
    "math_calc": Rules(
        "Let us calculate the intermediate values of an expression.\n\nExpression: 1 + 3 + 4\nValues: [1, 4, 8]\n\n"
        "Expression: 8 - 3 + 2 - 4\nValues: [8, 5, 7, 3]\n\nExpression: {context}\n",
        "Values:",
        30000,
    ),
    "code_run": Rules(
        "There is a function called {func} in the following Python code.\n\n{context}\n\n"
        "Please compute the exact value of {call}. ",
        "The value of {call} is",
        5,
    ),
    "code_debug": Rules(
        "Following is a Python code where exactly one of the functions/methods has a deliberate error that makes it "
        "crash.\n\n{context}\n\nOptions:\nA. {A}\nB. {B}\nC. {C}\nD. {D}\n\n",
        "The correct option is:",
        5,
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


def place(trial: int) -> float:
    """Where the answer of a context lies, from 0 to 1.

    The official datasets go from the first place to the last in even steps. Multiples of the golden ratio, modulo 1,
    are spread as evenly however many of them there are, so a context does not depend on how many others are made.
    """
    return (0.5 + trial * GOLDEN) % 1
