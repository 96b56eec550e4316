from __future__ import annotations

import re

from lampe.evaluation.base import registry
from lampe.tokenizers import Tokenizer

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
BEFORE = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
ASSIGNMENT = re.compile(r"VAR ([A-Z]+) = (?:VAR ([A-Z]+) |(\d+))")


def chain(text: str) -> tuple[str, list[str]]:
    """The value, and the variables in the order in which they get it."""
    names: list[str] = []
    value = ""
    for name, source, number in ASSIGNMENT.findall(text):
        if names:
            assert source == names[-1]
        else:
            value = number
        names.append(name)
    return value, names


def test_one_chain_of_five_and_a_solved_example(smollm2: Tokenizer):
    for sample in registry.create({"kind": "vt", "samples": 8}).samples(smollm2, [2000]):
        text = smollm2.decode(sample.ids)
        _, example, asked = text.split(BEFORE)
        value, names = chain(asked)
        assert (value, names) == (sample.facts["value"], list(sample.references))
        assert len(set(names)) == 5
        assert all(re.fullmatch("[A-Z]{5}", name) for name in names)
        assert 10000 <= int(value) < 99999
        solved, solution = chain(example)
        assert solved != value
        assert len(set(solution)) == 5
        assert all(re.fullmatch("[A-Z]{3}", name) for name in solution)
        assert example.endswith(
            f"\nQuestion: Find all variables that are assigned the value {solved} in the text above. Answer: "
            "According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value "
            f"{solved}, they are:  {' '.join(solution)}\n\n"
        )
        assert example.count(NOISE) == 10
        lines = asked[: asked.index("\nQuestion")].split("\n")
        assert {line for line in lines if not line.startswith("VAR")} == {NOISE}
        # A line of noise stands between any two assignments, and after the last.
        places = [index for index, line in enumerate(lines) if line.startswith("VAR")]
        assert all(lines[place + 1] == NOISE for place in places)
        depths = [float(depth) for depth in str(sample.facts["depths"]).split(", ")]
        assert depths == [round((p - before) / (len(lines) - 5), 4) for before, p in enumerate(places)]


def test_the_score_is_the_share_of_the_five_names(smollm2: Tokenizer):
    (sample,) = registry.create({"kind": "vt", "samples": 1}).samples(smollm2, [1200])
    names = sample.references
    assert sample.task.score(" ".join(names), sample) == 1.0
    assert sample.task.score(f"{names[4].lower()}, {names[0]} and QQQ", sample) == 0.4
