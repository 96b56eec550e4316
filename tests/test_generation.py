"""Generation: batches, budgets, stopping and streaming, on small random models."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.generation.stopping_criteria import StopStringCriteria

from lampe.generation import Piece, TextStream, generate
from lampe.positional import LaMPE, PositionWarning, RoPE
from lampe.sampling import Sampling
from lampe.testing import CASES
from lampe.testing.decoding import tokens as ids_of
from lampe.tokenizers import load_tokenizer
from tests.engines import engine_of
from tests.tokenizers.judges import added, byte_alphabet, document, write

pytestmark = pytest.mark.filterwarnings("ignore::lampe.positional.PositionWarning")


class Letters:
    """A stand-in for a tokenizer and its stream: id k is k in two letters, so that stop strings cross tokens."""

    vocab_size = 64
    skipped: dict[int, str] = {}  # noqa: RUF012
    unfinished = False

    def stream(self, *, at_start: bool) -> Letters:
        return self

    def push(self, token: int) -> str:
        return "abcdefgh"[token // 8] + "abcdefgh"[token % 8]

    def flush(self) -> str:
        return ""


def tokens_of(pieces: list[Piece], row: int = 0) -> list[int]:
    return [piece.token for piece in pieces if piece.row == row and piece.token is not None]


@pytest.mark.parametrize(
    "sampling", [Sampling(max_new_tokens=12), Sampling(max_new_tokens=12, temperature=1.5, seed=3)]
)
@pytest.mark.parametrize("name", CASES)
def test_a_row_of_a_batch_equals_the_prompt_alone(name, sampling):
    engine = engine_of(CASES[name].example)
    prompts = [ids_of(1, length, seed)[0].tolist() for seed, length in enumerate([33, 90, 5, 33])]
    pieces = list(generate(engine, prompts, sampling))
    for row, prompt in enumerate(prompts):
        alone = tokens_of(list(generate(engine, [prompt], sampling)))
        assert len(alone) == 12
        assert tokens_of(pieces, row) == alone


def test_greedy_tokens_are_those_of_the_full_forward_pass():
    engine = engine_of(CASES["lampe"].example)
    prompt = ids_of(1, 80)[0].tolist()
    new = tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=30))))
    logits = engine.forward(torch.tensor([prompt + new]), engine.cache([80]))[0]
    assert logits.argmax(dim=-1)[79:-1].tolist() == new


@pytest.mark.parametrize(("length", "planned"), [("prompt", 50), ("total", 70)])
def test_the_plan_is_made_for_the_prompt_or_for_prompt_and_budget(length, planned):
    engine = engine_of(LaMPE(head=10, tail=8, span=30, length=length))
    assert engine.cache([50], budget=20).rows[0].plan.length == planned


def test_rows_of_one_length_share_a_plan_and_others_have_their_own():
    rows = engine_of(LaMPE(head=10, tail=8, span=30)).cache([50, 60, 50]).rows
    assert [row.plan.length for row in rows] == [50, 60, 50]
    assert rows[0].plan is rows[2].plan


def test_an_end_token_ends_its_row_only_and_is_not_part_of_the_answer():
    engine = engine_of(RoPE())
    prompts = [ids_of(1, 20, seed)[0].tolist() for seed in range(2)]
    free = [tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=10)))) for prompt in prompts]
    end = next(token for token in free[0] if token not in free[1])
    pieces = list(generate(engine, prompts, Sampling(max_new_tokens=10), end_ids=(end,)))
    assert tokens_of(pieces, 0) == free[0][: free[0].index(end)]
    assert tokens_of(pieces, 1) == free[1]
    ignoring = list(generate(engine, prompts, Sampling(max_new_tokens=10, ignore_eos=True), end_ids=(end,)))
    assert [tokens_of(ignoring, 0), tokens_of(ignoring, 1)] == free


def test_text_ends_before_a_stop_string_that_crosses_tokens():
    engine = engine_of(RoPE())
    prompt = ids_of(1, 20)[0].tolist()
    letters = Letters()
    text = "".join(
        letters.push(token) for token in tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=20))))
    )
    stop = text[7:10]
    pieces = list(generate(engine, [prompt], Sampling(max_new_tokens=20, stop=(stop,)), tokenizer=letters))
    assert "".join(piece.text for piece in pieces) == text[: text.index(stop)]
    assert len(tokens_of(pieces)) == -(-(text.index(stop) + 3) // 2)


def test_ids_beyond_the_tokenizers_last_are_never_chosen():
    engine = engine_of(RoPE())
    prompt = ids_of(1, 20)[0].tolist()
    free = tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=20))))
    small = Letters()
    small.vocab_size = max(free)
    found = tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=20), tokenizer=small)))
    assert max(found) < max(free)


def test_a_budget_that_no_memory_holds_takes_none():
    engine = engine_of(RoPE())
    prompt = ids_of(1, 20)[0].tolist()
    pieces = generate(engine, [prompt], Sampling(max_new_tokens=10**15))
    assert [next(pieces).token for _ in range(3)] == tokens_of(
        list(generate(engine, [prompt], Sampling(max_new_tokens=3)))
    )


def test_a_prompt_may_follow_what_a_cache_holds():
    engine = engine_of(CASES["lampe"].example)
    prompt = ids_of(1, 100)[0].tolist()
    expected = tokens_of(list(generate(engine, [prompt], Sampling(max_new_tokens=8))))
    cache = engine.cache([100], budget=8)
    engine.forward(torch.tensor([prompt[:60]]), cache, last=0)
    for _ in range(2):
        assert tokens_of(list(generate(engine, [prompt[60:]], Sampling(max_new_tokens=8), cache=cache))) == expected
        cache.truncate(60)


@given(
    pieces=st.lists(st.text("ab", max_size=3), max_size=12),
    stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_streamed_text_is_the_text_cut_at_the_first_stop(pieces, stop):
    class Pieces(Letters):
        def push(self, token: int) -> str:
            return pieces[token]

    stream = TextStream(Pieces(), stop)
    shown, so_far, expected = "", "", None
    for token, piece in enumerate(pieces):
        so_far += piece
        cuts = [so_far.index(s) for s in stop if s in so_far]
        shown += stream.push(token)
        assert so_far.startswith(shown)
        if cuts:
            expected = so_far[: min(cuts)]
            break
        assert len(so_far) - len(shown) < max(map(len, stop), default=1)
    shown += stream.flush()
    assert stream.stopped == (expected is not None)
    assert shown == (so_far if expected is None else expected)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A tokenizer of bytes and two special tokens, and transformers' reading of it."""
    folder = tmp_path_factory.mktemp("spoken")
    special = [added("<s>", 256), added("<end>", 257)]
    content = document({text: n for n, text in enumerate(byte_alphabet())}, [], added_tokens=special)
    write(folder, content, tokenizer_class="PreTrainedTokenizerFast")
    return load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)


@given(
    ids=st.lists(st.sampled_from([*b"ad<\xc3\xa9", 256, 257]), min_size=1, max_size=12),
    stop=st.sampled_from([("<s>",), ("<end>", "<s>"), ("<end>a",), ("a<s>",), ("d<", "s>d"), ("aa",), ("end",)]),
)
@example(ids=[*b"d\xc3", 256], stop=("d<", "s>d"))  # the first byte of a character stands between
@example(ids=[0xC3, 257, *b"a"], stop=("<end>a",))  # and in front
@example(ids=[0xC3, 257, 0xA9, *b"a"], stop=("<end>a",))
def test_a_stop_string_may_hold_special_tokens_that_are_never_shown(spoken, ids, stop):
    tokenizer, theirs = spoken
    judge = StopStringCriteria(theirs, list(stop))
    ends = next((n for n in range(1, len(ids) + 1) if judge(torch.tensor([ids[:n]]), None)[0]), None)
    stream = TextStream(tokenizer.stream(), stop)
    shown, pushed = "", 0
    while pushed < len(ids) and not stream.stopped:
        shown += stream.push(ids[pushed])
        pushed += 1
    shown += stream.flush()
    assert (pushed if stream.stopped else None) == ends
    assert tokenizer.decode(ids[:ends]).startswith(shown)
    if ends is None:
        assert shown == tokenizer.decode(ids)


def test_streaming_shows_tokens_as_they_are_made():
    engine = engine_of(RoPE())
    calls = 0
    forward = type(engine).forward

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        return forward(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine), "forward", counted)
        stream = generate(engine, [ids_of(1, 9)[0].tolist()], Sampling(max_new_tokens=5))
        passes = []
        for piece in stream:
            assert piece.token is not None
            passes.append(calls)
    assert passes == [1, 2, 3, 4, 5]


def test_only_the_asked_logits_are_computed():
    """The head sees one position of a prompt, not all of them."""
    engine = engine_of(RoPE())
    seen = []
    engine.model.model.norm.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[1]))
    list(generate(engine, [ids_of(1, 50)[0].tolist()], Sampling(max_new_tokens=3)))
    assert seen == [1, 1, 1]


def test_an_answer_that_leaves_the_trained_window_is_warned_of_once():
    engine = engine_of(RoPE())
    window = engine.positional.window
    inside = Sampling(max_new_tokens=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(generate(engine, [list(range(1, window - 9))], inside))
    with pytest.warns(PositionWarning, match=f"rope: {window + 1} tokens reach relative position {window}, outside"):
        list(generate(engine, [list(range(1, window - 8)), [1, 2]], Sampling(max_new_tokens=30)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(generate(engine, [list(range(1, window - 8))], Sampling(max_new_tokens=30)))


def test_a_plan_for_prompt_and_answer_stays_inside():
    for length, expected in (("prompt", 1), ("total", 0)):
        method = LaMPE(head=8, tail=4, span=30, length=length)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            list(generate(engine_of(method), [[1, 2, 3]], Sampling(max_new_tokens=100)))
        assert len(caught) == expected
