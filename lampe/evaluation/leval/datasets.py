"""L-Eval's datasets and the words of its prompts (OpenLMLab/LEval, Baselines/)."""

from __future__ import annotations

from typing import Literal, get_args

Closed = Literal["coursera", "gsm100", "quality", "sci_fi", "tpo"]
Open = Literal[
    "financial_qa",
    "gov_report_summ",
    "legal_contract_qa",
    "meeting_summ",
    "multidoc_qa",
    "narrative_qa",
    "natural_question",
    "news_summ",
    "paper_assistant",
    "patent_summ",
    "review_summ",
    "scientific_qa",
    "tv_show_summ",
]
Dataset = Literal[Closed, Open]
CLOSED: tuple[str, ...] = get_args(Closed)

NEW_TOKENS = 512

# The misspellings are official.
SYSTEM = {
    "gsm100": "Given several question answer pairs, you need to follow a similar format to answer the last question. "
    "Make sure the response is end with The answer is _ . ",
    "coursera": "Now you are given a very long document. Please follow the instruction based on this document. For "
    "multi-choice questions, there could be a sinlge correct option or multiple correct options. Please only provide "
    "the letter corresponding to the answer (like A or AB) when answering. ",
    "sci_fi": "Now you are given a scientific fiction. I will ask you some questions and the answer should be "
    '"True" or "False". Notice that you should answer the question based on the evidence in the document instead of '
    "your background knowledge.",
}
SYSTEM_EXAM = (
    "Now you are given a very long document. Please follow the instruction based on this document. For multi-choice "
    "questions, there is only a sinlge correct option. Please only provide the letter corresponding to the answer "
    "(like A or B) when answering. For other questions, please directly give the concise and accurate answer. "
)
SYSTEM_OPEN = (
    "Now you are given a very long document. Please follow the instruction after this document. These instructions may "
    "include summarizing a document, answering questions based on the document, or writing a required paragraph. "
)

EXAM_BEFORE = "Document is as follows. "
EXAM_AFTER = " \nQuestion: {question}.  Please directly give answer without any additonal output or explanation "
EXAM_ANSWER = "\nAnswer:"
OPEN_AFTER = " Instruction: {question} \nAnswer this question with {words} words."

DOCUMENTS_WORLD = "based on the world described in the document."
REAL_WORLD = "based on the real-world knowledge and facts up until your last training"


def frame(dataset: str, question: str, reference: str) -> tuple[str, str, str]:
    """What stands before a document, what behind it, and how the answer begins."""
    if dataset == "gsm100":
        return SYSTEM[dataset], f"\n\n{question}", ""
    if dataset in CLOSED:
        system = SYSTEM.get(dataset, SYSTEM_EXAM)
        return system + EXAM_BEFORE, EXAM_AFTER.format(question=question), EXAM_ANSWER
    after = OPEN_AFTER.format(question=question, words=len(reference.split()))
    return SYSTEM_OPEN + EXAM_BEFORE, after, ""
