"""The words, output limits and scores of LongBench's datasets (THUDM/LongBench, config/ and eval.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from lampe.evaluation.longbench import scoring
from lampe.evaluation.longbench.scoring import Score

Dataset = Literal[
    "narrativeqa",
    "qasper",
    "multifieldqa_en",
    "hotpotqa",
    "2wikimqa",
    "musique",
    "gov_report",
    "qmsum",
    "multi_news",
    "trec",
    "triviaqa",
    "samsum",
    "passage_count",
    "passage_retrieval_en",
    "lcc",
    "repobench-p",
]
DATASETS: tuple[str, ...] = get_args(Dataset)

WITH_E = frozenset(DATASETS) - {"narrativeqa", "musique", "qmsum"}
"""The datasets that LongBench-E has."""


@dataclass(frozen=True)
class Rules:
    """What LongBench fixes for a dataset.

    Attributes:
        prompt: what the user says, with the places of context and input in braces.
        new_tokens: how long an answer may be.
        score: of an answer.
        chat: whether the prompt goes through a chat template; examples and code to be continued do not.
        first_line: whether only the first line of an answer counts.
    """

    prompt: str
    new_tokens: int
    score: Score
    chat: bool = True
    first_line: bool = False


_PASSAGES = (
    "Answer the question based on the given passages. Only give me the answer and do not output any other words."
    "\n\nThe following are given passages.\n{context}\n\nAnswer the question based on the given passages. Only give me "
    "the answer and do not output any other words.\n\nQuestion: {input}\nAnswer:"
)
_PHRASE = (
    "Answer the question as concisely as you can, using a single phrase if possible. Do not provide any explanation."
)
_QASPER = (
    "nswer the question as concisely as you can, using a single phrase or sentence if possible. If the question cannot "
    'be answered based on the information in the article, write "unanswerable". If the question is a yes/no question, '
    'answer "yes", "no", or "unanswerable". Do not provide any explanation.'
)

RULES: Mapping[str, Rules] = {
    "narrativeqa": Rules(
        f"You are given a story, which can be either a novel or a movie script, and a question. {_PHRASE}\n\nStory: "
        "{context}\n\nNow, answer the question based on the story as concisely as you can, using a single phrase if "
        "possible. Do not provide any explanation.\n\nQuestion: {input}\n\nAnswer:",
        128,
        scoring.answer_f1,
    ),
    "qasper": Rules(
        f"You are given a scientific article and a question. A{_QASPER}\n\nArticle: {{context}}\n\n A"
        + _QASPER.replace("the question as", "the question based on the above article as", 1)
        + "\n\nQuestion: {input}\n\nAnswer:",
        128,
        scoring.answer_f1,
    ),
    "multifieldqa_en": Rules(
        "Read the following text and answer briefly.\n\n{context}\n\nNow, answer the following question based on the "
        "above text, only give me the answer and do not output any other words.\n\nQuestion: {input}\nAnswer:",
        64,
        scoring.answer_f1,
    ),
    "hotpotqa": Rules(_PASSAGES, 32, scoring.answer_f1),
    "2wikimqa": Rules(_PASSAGES, 32, scoring.answer_f1),
    "musique": Rules(_PASSAGES, 32, scoring.answer_f1),
    "gov_report": Rules(
        "You are given a report by a government agency. Write a one-page summary of the report.\n\nReport:\n{context}"
        "\n\nNow, write a one-page summary of the report.\n\nSummary:",
        512,
        scoring.summary,
    ),
    "qmsum": Rules(
        "You are given a meeting transcript and a query containing a question or instruction. Answer the query in one "
        "or more sentences.\n\nTranscript:\n{context}\n\nNow, answer the query based on the above meeting transcript "
        "in one or more sentences.\n\nQuery: {input}\nAnswer:",
        512,
        scoring.summary,
    ),
    "multi_news": Rules(
        "You are given several news passages. Write a one-page summary of all news. \n\nNews:\n{context}\n\nNow, "
        "write a one-page summary of all the news.\n\nSummary:",
        512,
        scoring.summary,
    ),
    "trec": Rules(
        "Please determine the type of the question below. Here are some examples of questions.\n\n{context}\n{input}",
        64,
        scoring.classification,
        chat=False,
        first_line=True,
    ),
    "triviaqa": Rules(
        "Answer the question based on the given passage. Only give me the answer and do not output any other words. "
        "The following are some examples.\n\n{context}\n\n{input}",
        32,
        scoring.answer_f1,
        chat=False,
        first_line=True,
    ),
    "samsum": Rules(
        "Summarize the dialogue into a few short sentences. The following are some examples.\n\n{context}\n\n{input}",
        128,
        scoring.summary,
        chat=False,
        first_line=True,
    ),
    "passage_count": Rules(
        "There are some paragraphs below sourced from Wikipedia. Some of them may be duplicates. Please carefully read "
        "these paragraphs and determine how many unique paragraphs there are after removing duplicates. In other "
        "words, how many non-repeating paragraphs are there in total?\n\n{context}\n\nPlease enter the final count of "
        "unique paragraphs after removing duplicates. The output format should only contain the number, such as 1, 2, "
        "3, and so on.\n\nThe final answer is: ",
        32,
        scoring.count,
    ),
    "passage_retrieval_en": Rules(
        "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which paragraph the abstract "
        "is from.\n\n{context}\n\nThe following is an abstract.\n\n{input}\n\nPlease enter the number of the paragraph "
        'that the abstract is from. The answer format must be like "Paragraph 1", "Paragraph 2", etc.\n\nThe answer '
        "is: ",
        32,
        scoring.retrieval,
    ),
    "lcc": Rules("Please complete the code given below. \n{context}Next line of code:\n", 64, scoring.code, chat=False),
    "repobench-p": Rules(
        "Please complete the code given below. \n{context}{input}Next line of code:\n", 64, scoring.code, chat=False
    ),
}
