from __future__ import annotations

import re
from itertools import accumulate, pairwise

import pytest

from lampe.errors import ConfigError
from lampe.evaluation.infinitebench import CodeRun, InfinitePasskey, KVRetrieval, MathCalc, MathFind, NumberString
from lampe.evaluation.infinitebench.scores import SCORES

TASKS = [CodeRun, InfinitePasskey, KVRetrieval, MathCalc, MathFind, NumberString]
LINE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n"


def parts(tokenizer, sample) -> tuple[str, str]:
    """What the user says and how the answer begins."""
    user, answer = tokenizer.decode(sample.ids).split("user\n", 1)[1].split("\nassistant\n")
    return user, answer


@pytest.mark.parametrize(("length", "samples"), [(4096, 5), (8192, 2), pytest.param(65536, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_full(smollm2, task, length: int, samples: int):
    made = list(task(samples=samples).samples(smollm2, [length]))
    assert len(made) == samples
    for trial, sample in enumerate(made):
        assert 0.99 * length <= len(sample.ids) <= length
        assert (sample.length, sample.trial, sample.templated, sample.shared) == (length, trial, True, 0)


@pytest.mark.parametrize("task", TASKS)
def test_a_prompt_depends_on_seed_length_and_number_only(tiny, task):
    tokenizer = tiny[0].tokenizer

    def prompts(lengths=(1500,), **fields) -> list[str]:
        return [tokenizer.decode(sample.ids) for sample in task(**fields).samples(tokenizer, lengths)]

    assert prompts(samples=2) == prompts(samples=4)[:2] == prompts(lengths=(1500, 2000), samples=2)[::2]
    assert len({*prompts(samples=3), *prompts(samples=3, seed=1)}) == 6


@pytest.mark.parametrize("task", TASKS)
def test_a_length_without_room(tiny, task):
    with pytest.raises(
        ConfigError, match=rf"^task '{task.Config().kind}': a prompt of 90 tokens is too short; it needs"
    ):
        list(task().samples(tiny[0].tokenizer, [90]))


@pytest.mark.parametrize(
    ("task", "limit"), [(InfinitePasskey, 6), (NumberString, 12), (KVRetrieval, 50), (MathFind, 3), (CodeRun, 5)]
)
def test_answers_have_the_official_limits(tiny, task, limit: int):
    for fields, tokens in (({}, limit), ({"max_new_tokens": 77}, 77)):
        (sample,) = task(samples=1, **fields).samples(tiny[0].tokenizer, [1500])
        assert sample.new_tokens == tokens


@pytest.mark.parametrize("length", [4096, pytest.param(65536, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("task", "digits", "task_words", "needle", "question", "opening"),
    [
        (
            InfinitePasskey,
            5,
            "Find it and memorize it. I will quiz you about the important information.",
            "The pass key is {0}. Remember it. {0} is the pass key.\n",
            "What is the pass key?",
            "The pass key is",
        ),
        (
            NumberString,
            10,
            "Find it. I will quiz you about the important information there.",
            "The sequence of digits is {0}. Remember it. {0} is the sequence of digits.\n",
            "What is the sequence of digits?",
            "The sequence of digits is",
        ),
    ],
)
def test_digits_in_noise(smollm2, length, task, digits, task_words, needle, question, opening):
    for sample in task(samples=3).samples(smollm2, [length]):
        (key,) = sample.references
        assert re.fullmatch(rf"\d{{{digits}}}", key)
        user, answer = parts(smollm2, sample)
        begin = f"There is an important info hidden inside a lot of irrelevant text. {task_words}\n\n"
        assert user.startswith(begin)
        assert user.endswith(f"\n\n{question}\n\n")
        assert answer == opening
        context = user.removeprefix(begin).removesuffix(f"\n\n{question}\n\n")
        before, after = context.split(needle.format(key))
        counts = before.count(LINE), after.count(LINE)
        assert (before, after) == (LINE * counts[0], LINE * counts[1])
        assert sample.facts["depth"] == round(counts[0] / sum(counts), 3)


def test_a_number_string_repeats_digits(tiny):
    keys = [s.references[0] for s in NumberString(samples=50).samples(tiny[0].tokenizer, [900])]
    assert len(set(keys)) == 50
    # Five digits are drawn, and each of the others equals its neighbour.
    assert all(sum(a == b for a, b in pairwise(key)) >= 5 for key in keys)


def test_needles_are_spread(tiny):
    depths = [s.facts["depth"] for s in InfinitePasskey(samples=10).samples(tiny[0].tokenizer, [9000])]
    assert sorted(int(10 * depth) for depth in depths) == pytest.approx(range(10), abs=1)
    assert max(depths) - min(depths) > 0.8


ASKED = {
    "largest number": lambda numbers: max(numbers),
    "second largest number": lambda numbers: max(n for n in numbers if n != max(numbers)),
    "third largest number": lambda numbers: sorted(set(numbers))[-3],
    "smallest number": lambda numbers: min(numbers),
    "second smallest number": lambda numbers: min(n for n in numbers if n != min(numbers)),
    "third smallest number": lambda numbers: sorted(set(numbers))[2],
    "median number": lambda numbers: (
        sorted(numbers)[len(numbers) // 2]
        if len(numbers) % 2
        else (sorted(numbers)[len(numbers) // 2] + sorted(numbers)[len(numbers) // 2 - 1]) / 2
    ),
}


def test_numbers_to_find(smollm2):
    made = list(MathFind(samples=14).samples(smollm2, [4096]))
    assert [sample.facts["asked"] for sample in made] == 2 * list(ASKED)
    for sample in made:
        asked = sample.facts["asked"]
        user, answer = parts(smollm2, sample)
        match = re.fullmatch(
            rf"What is the {asked} in the following list\?\n\n\[([\d, ]+)\]\n\n"
            r"You should answer with only one number, no other words\. ",
            user,
        )
        assert match
        assert answer == f"The {asked} of the list is: "
        numbers = [int(number) for number in match[1].split(", ")]
        assert len(numbers) == sample.facts["numbers"]
        assert sample.references == (str(ASKED[asked](numbers)),)
        low, high = {"largest": (77, 99), "smallest": (0, 21), "median": (30, 70)}[asked.split()[-2]]
        assert low <= float(sample.references[0]) <= high
        assert SCORES["math_find"](sample.references[0], sample.references) == 1


@pytest.mark.parametrize("length", [4096, pytest.param(65536, marks=pytest.mark.slow)])
def test_values_of_an_expression(smollm2, length: int):
    for sample in MathCalc(samples=2).samples(smollm2, [length]):
        user, answer = parts(smollm2, sample)
        begin = (
            "Let us calculate the intermediate values of an expression.\n\nExpression: 1 + 3 + 4\nValues: [1, 4, 8]\n\n"
            "Expression: 8 - 3 + 2 - 4\nValues: [8, 5, 7, 3]\n\nExpression: "
        )
        assert user.startswith(begin)
        assert user.endswith("\n")
        assert answer == "Values:"
        expression = user.removeprefix(begin).removesuffix("\n")
        assert re.fullmatch(r"\d+( [+-] \d+)+", expression)
        terms = [int(term) for term in expression.replace("+ ", "").replace("- ", "-").split()]
        values = list(accumulate(terms))
        assert values[99] == eval(" ".join(expression.split()[:199]))
        assert sample.references == tuple(map(str, values[1:]))
        assert len(values) == sample.facts["operators"] + 1
        assert min(values) >= 0
        assert max(values) <= 99
        assert {"+", "-"} <= set(expression)
        whole = f" {values}"
        assert sample.new_tokens == min(30000, len(smollm2.encode(whole, add_special=False)))
        assert SCORES["math_calc"](whole, sample.references) == 1


@pytest.mark.parametrize(("length", "samples"), [(4096, 10), pytest.param(65536, 2, marks=pytest.mark.slow)])
def test_functions_return_what_the_reference_says(smollm2, length: int, samples: int):
    made = list(CodeRun(samples=samples).samples(smollm2, [length]))
    assert [sample.facts["layers"] for sample in made] == ([2, 4, 6, 8, 10] * 2)[:samples]
    for sample in made:
        user, answer = parts(smollm2, sample)
        match = re.fullmatch(
            r"There is a function called (func_\d+) in the following Python code\.\n\n(.*\n\n)"
            r"\n\nPlease compute the exact value of ((func_\d+)\((-?\d+)\))\. ",
            user,
            re.DOTALL,
        )
        assert match
        assert match[1] == match[4]
        assert answer == f"The value of {match[3]} is"
        functions = re.findall(r"def (func_\d+)\(x\):\n    return (?:(func_\d+)\(x\)|x)(?: [+-] (\d+))?\n\n", match[2])
        assert len(functions) == match[2].count("def ") == sample.facts["functions"]
        numbers = [int(name.removeprefix("func_")) for name, _, _ in functions]
        assert numbers == sorted(set(numbers))
        code: dict = {}
        exec(match[2], code)
        assert sample.references == (str(eval(match[3], code)),)
        calls = {name: inner for name, inner, _ in functions}
        chain = [match[1]]
        while calls[chain[-1]]:
            chain.append(calls[chain[-1]])
        assert len(chain) == sample.facts["layers"]
        assert -10 <= int(match[5]) <= 10
        assert max(int(added or 0) for _, _, added in functions) <= 17


def test_called_functions_lie_anywhere(smollm2):
    places = []
    for sample in CodeRun(samples=30).samples(smollm2, [2000]):
        user, _ = parts(smollm2, sample)
        name = re.search(r"called (func_\d+) ", user)
        assert name
        places.append(user.index(f"def {name[1]}(x)") / len(user))
    assert min(places) < 0.2
    assert max(places) > 0.8
    assert 0.35 < sum(places) / len(places) < 0.65
