"""How far groups of tokens on one position reach: Self-Extend, and DPE for each group of frequencies."""

from __future__ import annotations


def floored_reach(group: int, near: int, window: int) -> int:
    """Reach, in tokens, of i // group + near - near // group - j // group behind a true window of `near` tokens."""
    return max(window, group * (window - near + near // group))


def floored_group(length: int, near: int, window: int) -> int:
    """The least group whose `floored_reach` is `length` tokens or more; 1 where `near` fills the window, so none is."""
    if near >= window or length <= window:
        return 1
    group = -((length - near) // -(window - near))  # the least without the floor, which only takes away
    while floored_reach(group, near, window) < length:
        group += 1
    return group
