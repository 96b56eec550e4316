"""How L-Eval scores an answer (OpenLMLab/LEval, Evaluation/auto_eval.py and em.py)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lampe.evaluation.metrics import best, google_rouge, token_f1

OPTIONS = "ABCD"
OPTION = re.compile(r"[A-Z](?=[\s.)])")
ANSWER = re.compile(r"The answer is (\S+)")
JUDGEMENTS = re.compile(r"\s*(true|false)\s*\[fact:\s*(true|false)\s*\]\s*")
PART = 0.25
"""Of a question with several right options, for some of them and none that is wrong."""


def right_options(reference: str) -> str:
    """The letters of a reference: those of its first word."""
    return _letters(reference.split()[0]) if reference.split() else ""


def one_option(output: str, references: Sequence[str]) -> float:
    """1 if the first letter from A to D is the right one; an answer without any counts as A, as officially.

    Officially an answer of nothing but several letters in a row, such as BC, is wrong.
    """
    if not output.strip():
        return 0.0
    found = next((character for character in output if character in OPTIONS), "A")
    return float(found == right_options(references[0]))


def several_options(output: str, references: Sequence[str]) -> float:
    """1 for exactly the right options, a quarter for some of them and no other; without any, A counts, as officially.

    The options are the letters that the answer begins with, if there are several; else that letter and those that white
    space, a full stop or a bracket follows, up to the next question that the model asks itself. So "Answer: B." is A
    and B, as officially.
    """
    if not output.strip():
        return 0.0
    leading = output[: len(output) - len(output.lstrip(OPTIONS))]
    found = leading
    if len(leading) < 2 and output != leading:
        found += "".join(OPTION.findall(output[len(leading) :].split("Question")[0]))
    chosen, right = set(_letters(found) or "A"), set(right_options(references[0]))
    if chosen == right:
        return 1.0
    return PART if chosen < right else 0.0


def number(output: str, references: Sequence[str]) -> float:
    """1 if the number after "The answer is", else the last one of the first paragraph, is the reference."""
    found, right = _digits(_answer(output)), _digits(_answer(references[0]))
    return float(found != "" and int(found) == int(right))


def judgement(output: str, references: Sequence[str]) -> float:
    """1 if the first word that holds "true" or "false" holds the right one; "true" comes first, as officially."""
    words = output.lower().split()
    return float(next((value for word in words for value in ("true", "false") if value in word), "") == references[0])


def judgements(reference: str) -> tuple[str, ...]:
    """Whether a statement holds in the document and in the world; nothing if not of the form "True [fact: False]"."""
    match = JUDGEMENTS.fullmatch(reference.lower())
    return match.groups() if match else ()


def open_answer(output: str, references: Sequence[str], metric: str) -> float:
    """F1 of the words where the file asks for that, else ROUGE-L."""
    if metric == "f1":
        return best(token_f1, output, references)
    return google_rouge(output, references, "rougeL")


def _letters(text: str) -> str:
    return "".join(character for character in text if character in OPTIONS)


def _answer(text: str) -> str:
    """The word that holds the answer, or nothing."""
    if match := ANSWER.search(text):
        return match[1]
    words = reversed(text.split("\n\n")[0].split(" "))
    return next((word for word in words if any(character.isdigit() for character in word)), "")


def _digits(word: str) -> str:
    """The digits up to the decimal point."""
    return "".join(character for character in word.split(".")[0] if character.isdecimal())
