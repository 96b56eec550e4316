"""What is too long loses its middle: both ends may hold what a question needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lampe.errors import ConfigError
from lampe.tokenizers import Tokenizer


def cut_middle(
    tokenizer: Tokenizer, text: str, prompt: Callable[[str], Sequence[int]], length: int, *, task: str
) -> tuple[str, int]:
    """A text with as much of both its ends as a prompt has room for.

    Args:
        tokenizer: of the prompt.
        text: what may be cut.
        prompt: the ids of the prompt that holds a text.
        length: the most tokens of that prompt.
        task: its name, for the sentence.

    Returns:
        The text, and how many of its tokens are left out of it.

    Raises:
        ConfigError: what stands around the text leaves no room for it.
    """
    size = len(prompt(text))
    if size <= length:
        return text, 0
    ids = tokenizer.encode(text, add_special=False)
    kept, shorter = len(ids), text
    # The ends may be tokenised otherwise where they meet, so a prompt can come out a token or two too long.
    while size > length:
        kept -= size - length
        if kept < 2:
            raise ConfigError(f"task {task!r}: a prompt of {length} tokens has no room for the text it is about")
        # A code point that is cut through is left out.
        head = tokenizer.decode(ids[: kept // 2], skip_special=False).rstrip("\ufffd")
        tail = tokenizer.decode(ids[-(kept - kept // 2) :], skip_special=False).lstrip("\ufffd")
        shorter = head + tail
        size = len(prompt(shorter))
    return shorter, len(ids) - kept
