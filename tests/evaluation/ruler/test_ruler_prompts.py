"""What holds for the prompts of every generated task of RULER, at real lengths."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import pytest

from lampe.errors import ConfigError
from lampe.evaluation import ruler
from lampe.evaluation.base import Sample, registry
from lampe.tokenizers import Tokenizer

HEADER = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\n"
)
TURN = "<|im_end|>\n<|im_start|>assistant\n"

# For each task how the prompt begins, how its question does, how its answer begins, and how long an answer may be.
WORDING = {
    kind: (
        f"{start} hidden within the following text. Make sure to memorize it. I will quiz you about the {what} "
        "afterwards.\n",
        f"\n{asked} the special magic {what} for {{key}} mentioned in the provided text?",
        f"The special magic {what} for {{key}} mentioned in the provided text {verb}",
        128,
    )
    for kind, start, asked, what, verb in (
        ("niah-single-1", "A special magic number is", "What is", "number", "is"),
        ("niah-single-2", "A special magic number is", "What is", "number", "is"),
        ("niah-single-3", "A special magic uuid is", "What is", "uuid", "is"),
        ("niah-multikey-1", "A special magic number is", "What is", "number", "is"),
        ("niah-multikey-2", "A special magic number is", "What is", "number", "is"),
        ("niah-multikey-3", "A special magic uuid is", "What is", "uuid", "is"),
        ("niah-multivalue", "Some special magic numbers are", "What are all", "numbers", "are"),
        ("niah-multiquery", "Some special magic numbers are", "What are all", "numbers", "are"),
    )
} | {
    "vt": (
        "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n",
        "\nQuestion: Find all variables that are assigned the value {value} in the text above.",
        "Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assigned the "
        "value {value}, they are: ",
        30,
    ),
    "cwe": (
        "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that "
        "appear most often.\n",
        "\nQuestion: What are the 10 most common words in the above list?",
        "Answer: The top 10 words that appear most often in the list are:",
        120,
    ),
    "fwe": (
        "Read the following coded text and track the frequency of each coded word. Find the three most frequently "
        "appeared coded words. ",
        "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently "
        "appeared words in the above coded text?",
        "Answer: According to the coded text above, the three most frequently appeared words are:",
        50,
    ),
}


def words(sample: Sample) -> dict[str, str]:
    """What the wording leaves open."""
    keys = str(sample.facts.get("key", "")).split(", ")
    query = keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])}, and {keys[-1]}"
    return {"key": query, "value": str(sample.facts.get("value"))}


def context(tokenizer: Tokenizer, sample: Sample) -> str:
    """The context of a prompt, after a check of all that stands around it."""
    before, question, answer, _ = (str(text).format(**words(sample)) for text in WORDING[sample.task.config.kind])
    text = tokenizer.decode(sample.ids, skip_special=False)
    assert text.startswith(HEADER + before)
    assert text.endswith(question + TURN + answer)
    return text[len(HEADER + before) : -len(question + TURN + answer)]


def expected(sample: Sample) -> list[int]:
    """How often each reference stands in the context."""
    if sample.task.config.kind == "vt":
        return [2, 2, 2, 2, 1]
    if sample.task.config.kind == "cwe":
        return [30] * 10
    if sample.task.config.kind == "fwe":
        return [int(count) for count in str(sample.facts["counts"]).split(", ")]
    return [1] * len(sample.references)


@pytest.mark.parametrize("length", [4096, 8192, pytest.param(65536, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", WORDING)
def test_a_prompt_is_full_and_whole(smollm2: Tokenizer, kind: str, length: int):
    samples = list(registry.create({"kind": kind, "samples": 1 if length > 8192 else 3}).samples(smollm2, [length]))
    for sample in samples:
        assert 0.99 * length <= len(sample.ids) <= length
        assert (sample.length, sample.new_tokens, sample.templated, sample.shared) == (
            length,
            WORDING[kind][3],
            True,
            0,
        )
        counts = Counter(re.findall(r"[\w-]+", context(smollm2, sample)))
        assert [counts[reference] for reference in sample.references] == expected(sample)
        _, question, answer, _ = (str(text).format(**words(sample)) for text in WORDING[kind])
        assert not any(reference in question + answer for reference in sample.references)
    assert [sample.trial for sample in samples] == list(range(len(samples)))
    assert len({sample.references for sample in samples}) == len(samples)


@pytest.mark.parametrize("kind", WORDING)
def test_chance_follows_seed_length_and_trial_alone(smollm2: Tokenizer, kind: str):
    def prompts(lengths: list[int], **fields: int) -> dict[tuple[int, int], list[int]]:
        task = registry.create({"kind": kind, **fields})
        return {(s.length, s.trial): list(s.ids) for s in task.samples(smollm2, lengths)}

    three = prompts([1500, 1200], samples=3)
    assert len(three) == 6
    alone = prompts([1200], samples=1)
    assert three[1200, 0] == alone[1200, 0]
    other = prompts([1200], samples=1, seed=7)
    assert other[1200, 0] != alone[1200, 0]


@pytest.mark.parametrize("kind", WORDING)
def test_short_prompts_of_another_tokenizer(tiny, kind: str):
    """Bytes as tokens: lines are long, and a prompt is full but for one of them, or is refused."""
    tokenizer = tiny[0].tokenizer
    line = {"niah-multikey-3": 130, "cwe": 30, "fwe": 40, "vt": 91}.get(kind, 91)
    (sample,) = registry.create({"kind": kind, "samples": 1}).samples(tokenizer, [3000])
    assert 3000 - line < len(sample.ids) <= 3000
    assert not sample.templated
    text = tokenizer.decode(sample.ids)
    assert all(reference in text for reference in sample.references)
    with pytest.raises(
        ConfigError, match=rf"^task '{kind}': a prompt of 150 tokens is too short; it needs at least \d"
    ):
        list(registry.create({"kind": kind}).samples(tokenizer, [150]))


# Published figures rest on these prompts: another hash means that they cannot be compared with later ones.
PROMPTS = {
    "niah-single-1": "3d7a5a21e1f9eea3",
    "niah-multikey-2": "f01050109a2ab6d8",
    "vt": "00dc12ff6b68484d",
    "fwe": "c6a0610050a0f610",
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_prompts_stay_what_they_are(smollm2: Tokenizer, kind: str):
    (sample,) = registry.create({"kind": kind, "samples": 1}).samples(smollm2, [4096])
    assert hashlib.sha256(smollm2.decode(sample.ids).encode()).hexdigest()[:16] == PROMPTS[kind]


def test_all_thirteen_tasks_are_one_suite():
    tasks = {cls.Config.model_fields["kind"].default: cls for cls in vars(ruler).values() if hasattr(cls, "Config")}
    assert sorted(tasks) == sorted([*WORDING, "qa-1", "qa-2"])
    assert {cls.suite for cls in tasks.values()} == {"ruler"}


def test_the_length_of_an_answer_can_be_set(smollm2: Tokenizer):
    (sample,) = registry.create({"kind": "vt", "samples": 1, "max_new_tokens": 9}).samples(smollm2, [1200])
    assert sample.new_tokens == 9
