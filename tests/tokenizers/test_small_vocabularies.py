"""Byte-level BPE against `tokenizers` on vocabularies made up to be awkward."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lampe.errors import TokenizerError
from lampe.tokenizers import load_tokenizer
from tests.tokenizers.judges import (
    BYTE_LEVEL,
    DIGITS,
    LLAMA3_PATTERN,
    UNSPLIT,
    added,
    byte_alphabet,
    document,
    sequence,
    split,
    write,
)

ALPHABET = byte_alphabet()
BYTES = {text: n for n, text in enumerate(ALPHABET)}
_TEXT = st.text(alphabet="aabbc", min_size=1, max_size=20)


@st.composite
def _vocabularies(draw: st.DrawFn) -> dict[str, Any]:
    """Merges in any order, listed twice, of tokens nothing makes; ids in any order; bytes that are missing."""
    lacks_c = draw(st.booleans())
    tokens = [text for text in ALPHABET if not (lacks_c and text == "c")]
    made = ["a", "b"] if lacks_c else ["a", "b", "c"]
    merges: list[list[str]] = []
    for _ in range(draw(st.integers(1, 14))):
        pair = [draw(st.sampled_from(made)), draw(st.sampled_from(made))]
        if len("".join(pair)) < 9:
            merges.append(pair)
            made += [] if "".join(pair) in made else ["".join(pair)]
    unmade = draw(st.lists(st.text(alphabet="ab", min_size=2, max_size=4), max_size=3))
    tokens = list(dict.fromkeys([*tokens, *made, *unmade]))
    if draw(st.booleans()):
        merges = draw(st.permutations(merges))
    if draw(st.booleans()):
        tokens = draw(st.permutations(tokens))
    unknown = draw(st.sampled_from([None, "!"])) if lacks_c else None
    return document(
        {token: n for n, token in enumerate(tokens)},
        merges,
        pre_tokenizer=UNSPLIT,
        ignore_merges=draw(st.booleans()),
        unk_token=unknown,
        fuse_unk=draw(st.booleans()),
    )


@pytest.mark.slow
@settings(max_examples=200)
@given(content=_vocabularies(), texts=st.lists(_TEXT, min_size=1, max_size=8))
def test_any_merges_give_the_judges_ids(tiny: Path, content: dict[str, Any], texts: list[str]) -> None:
    judge = write(tiny, content)
    tokenizer = load_tokenizer(tiny)
    for text in [*texts, "ab" * 9, "a" * 17, "cabcc", "ccc"]:
        assert tokenizer.encode(text) == judge.encode(text).ids


CHAINS = {
    "gpt2": BYTE_LEVEL,
    "digits, then gpt2": sequence(DIGITS, BYTE_LEVEL),
    "digit runs, then gpt2": sequence({"type": "Digits", "individual_digits": False}, BYTE_LEVEL),
    "three patterns": sequence(split(r"\n"), split(r" ?\p{L}+"), DIGITS, UNSPLIT),
    "gaps between matches": sequence(split(r"b+"), UNSPLIT),
    "a string": sequence({**split(""), "pattern": {"String": "a."}}, UNSPLIT),
    "pattern, then gpt2": sequence(split(r"\p{N}{1,3}"), split(LLAMA3_PATTERN), BYTE_LEVEL),
    "nested": sequence(sequence(DIGITS), sequence(split(r"\s+"), UNSPLIT)),
}
# Merges across every kind of boundary show where a text was split.
_MERGES = [[left, right] for left in ("a", "Ġ", "1", ".", "Ċ", "b") for right in ("a", "Ġ", "1", ".", "Ċ", "b")]


@pytest.mark.parametrize("chain", CHAINS)
@given(text=st.text(alphabet="ab1.! \n'sé½", max_size=40))
def test_pre_tokenizers_in_a_chain(tiny: Path, chain: str, text: str) -> None:
    vocab = {**BYTES, **{left + right: 256 + n for n, (left, right) in enumerate(_MERGES)}}
    judge = write(tiny, document(vocab, _MERGES, pre_tokenizer=CHAINS[chain]))
    assert load_tokenizer(tiny).encode(text) == judge.encode(text).ids


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=st.text(alphabet="aéeńñﬁÅ\u0301\u0303½क़한", max_size=20))
def test_normal_forms(tiny: Path, form: str, text: str) -> None:
    judge = write(tiny, document(BYTES, [], normalizer={"type": "Sequence", "normalizers": [{"type": form}]}))
    assert load_tokenizer(tiny).encode(text) == judge.encode(text).ids


ADDED = [
    added("<s>", 256),
    added("<s>>", 257),
    added("[L]", 258, lstrip=True),
    added("[R]", 259, rstrip=True, special=False),
    added("[LR]", 260, lstrip=True, rstrip=True),
    added("\u0958", 261, normalized=True, special=False),
    added("\u0928\u093c", 262, normalized=True, special=False),
]


@settings(max_examples=100)
@given(
    parts=st.lists(
        st.sampled_from(
            ["<s>", ">", "<s>>", "[L]", "[R]", "[LR]", " ", "\n", "a", "\u3000", "क", "\u0958", "न", "\u0929", "\u093c"]
        ),
        max_size=12,
    ),
    parse_special=st.booleans(),
)
def test_added_tokens(tiny: Path, parts: list[str], parse_special: bool) -> None:
    text = "".join(parts)
    judge = write(tiny, document(BYTES, [], normalizer={"type": "NFC"}, added_tokens=ADDED))
    judge.encode_special_tokens = not parse_special
    tokenizer = load_tokenizer(tiny)
    ids = tokenizer.encode(text, parse_special=parse_special)
    assert ids == judge.encode(text).ids
    for skip_special in (False, True):
        # The judge writes a token that is looked for in normal form in that form, which is not how it is listed.
        decoded = [
            tokenizer.decode(ids, skip_special=skip_special),
            judge.decode(ids, skip_special_tokens=skip_special),
        ]
        assert len({unicodedata.normalize("NFC", text) for text in decoded}) == 1


def test_ids_with_a_gap(tiny: Path) -> None:
    write(tiny, document(BYTES, [], added_tokens=[added("<s>", 300)]))
    tokenizer = load_tokenizer(tiny)
    assert tokenizer.vocab_size == 301
    assert tokenizer.encode("<s>", parse_special=True) == [300]
    with pytest.raises(TokenizerError, match="token id 280 has no token"):
        tokenizer.decode([280])
