"""How InfiniteBench scores an answer, by dataset (OpenBMB/InfiniteBench, src/compute_scores.py).

The references are the official labels: of most datasets the one right answer, of the questions with options the right
option and its letter, of Math.Calc the values after each operator, of the others any of several answers.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence

from lampe.evaluation.infinitebench.letters import code_debug, longbook_choice
from lampe.evaluation.metrics import bag_f1, best, google_rouge, token_f1

Score = Callable[[str, Sequence[str]], float]
"""The score, from 0 to 1, of an answer against the references."""

INTEGER = re.compile(r"[0-9]+")
NUMBER = re.compile(r"\d+\.\d+|\d+")
VALUE_ENDS = str.maketrans(dict.fromkeys("\n:\"'.,?!{}", " "))
NO_CHINESE_PUNCTUATION = str.maketrans(
    "",
    "",
    string.punctuation
    + "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』"
    + "【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.",
)
RESULT_ENDS = str.maketrans(dict.fromkeys("\n.`'\":", " "))


def first_integer(output: str, references: Sequence[str]) -> float:
    """1 if the first run of digits is the key."""
    match = INTEGER.search(output)
    return float(match is not None and match.group() == references[0])


def kv_retrieval(output: str, references: Sequence[str]) -> float:
    """1 if the value is one of the words."""
    return float(references[0] in output.translate(VALUE_ENDS).split())


def math_find(output: str, references: Sequence[str]) -> float:
    """1 if the first number, its sign left aside, is the reference; 50.0 and 50 are the same only for a median."""
    match = NUMBER.search(output)
    if match is None:
        return 0.0
    number, right = match.group(), references[0]
    if "." in right:
        return float(_same(float, number, right))
    return float("." not in number and _same(int, number, right))


def math_calc(output: str, references: Sequence[str]) -> float:
    """The share of the values that come before the first wrong one.

    The template shows lists that begin with the first number of the expression, before any operator, and the official
    values leave it out. The official scorer skips it for GPT-4 only; every model that heeds the template has it.
    """
    values = INTEGER.findall(output)[1:]
    right = 0
    for value, reference in zip(values, references, strict=False):
        if not _same(int, value, reference):
            break
        right += 1
    return right / len(references)


def _same(number: type[int] | type[float], output: str, right: str) -> bool:
    """Whether both say the same number; one of more digits than Python reads (4,300 of an integer) is not the same."""
    try:
        return number(output.lstrip("0") or "0") == number(right)
    except ValueError:
        return False


def code_run(output: str, references: Sequence[str]) -> float:
    """1 if the last word is the integer."""
    words = output.translate(RESULT_ENDS).split()
    try:
        return float(int(words[-1]) == int(references[0]))
    except (IndexError, ValueError):
        return 0.0


def longbook_qa_english(output: str, references: Sequence[str]) -> float:
    """F1 of the words without articles and punctuation, of the answer that is nearest."""
    return best(token_f1, output, references)


def longbook_qa_chinese(output: str, references: Sequence[str]) -> float:
    """F1 of the characters without punctuation and white space, of the answer that is nearest."""

    def characters(text: str) -> str:
        return "".join(text.lower().translate(NO_CHINESE_PUNCTUATION).split())

    return max(bag_f1(characters(output), characters(reference)) for reference in references)


def longbook_sum(output: str, references: Sequence[str]) -> float:
    """rougeLsum, the longest common subsequences of lines, without stemming."""
    return google_rouge(output, references, "rougeLsum")


def longdialogue_qa(output: str, references: Sequence[str]) -> float:
    """1 if the answer holds one of the names, in whatever case."""
    return float(any(reference.upper() in output.upper() for reference in references))


SCORES: Mapping[str, Score] = {
    "passkey": first_integer,
    "number_string": first_integer,
    "kv_retrieval": kv_retrieval,
    "longbook_sum_eng": longbook_sum,
    "longbook_choice_eng": longbook_choice,
    "longbook_qa_eng": longbook_qa_english,
    "longbook_qa_chn": longbook_qa_chinese,
    "longdialogue_qa_eng": longdialogue_qa,
    "math_find": math_find,
    "math_calc": math_calc,
    "code_run": code_run,
    "code_debug": code_debug,
}
