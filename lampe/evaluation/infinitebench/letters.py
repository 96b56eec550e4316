"""InfiniteBench's rules for the questions with four options; the references are the right option and its letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# The last letter that stands by itself on a line, and so on the first line that has one.
LAST_OPTION = re.compile(r"\b[A-D]\b(?!.*\b[A-D]\b)")
LAST_OF_TEN = re.compile(r"\b[A-J]\b(?!.*\b[A-J]\b)")


def code_debug(output: str, references: Sequence[str]) -> float:
    """1 if the answer ends with the letter, or begins with it or the option, or either follows "answer is:" or so."""
    option, letter = references
    output = output.strip()
    match = LAST_OF_TEN.search(output)
    if match and match.group() == letter:
        return 1.0
    words = blank(output, ["\n", "`", "'", '"', "-", "*", "Option", "option"])
    if words.startswith((letter, option)):
        return 1.0
    return float(said(words, ["answer is:", "is:", "answer:", "correct option is:"], references) or False)


def longbook_choice(output: str, references: Sequence[str]) -> float:
    """1 if the answer ends with the letter, or else begins with it, or is the option, or names either of them."""
    output = output.strip()
    match = LAST_OPTION.search(output)
    if match and match.group() in references:
        return 1.0
    if output[:1] in tuple("ABCD"):
        return float(output[0] in references)
    if output in references:
        return 1.0
    words = blank(output, ["\n", '"', "'", ".", ",", "?", "!", "{", "}"])
    verdict = said(words, ["answer is:", "answer:", "answer is", "option is"], references)
    if verdict is None:
        verdict = next((word in references for word in words.split() if word in "ABCD"), False)
    return float(verdict)


def blank(text: str, marks: Iterable[str]) -> str:
    """The text with single spaces for the marks."""
    for mark in marks:
        text = text.replace(mark, " ")
    return re.sub(" {2,}", " ", text)


def said(text: str, openings: Iterable[str], references: Sequence[str]) -> bool | None:
    """Whether a reference follows, one character on, the first of the openings that the text has; None if none."""
    for opening in openings:
        _, found, rest = text.partition(opening)
        if found:
            return rest[1:].startswith(tuple(references))
    return None
