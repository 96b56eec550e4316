from __future__ import annotations

import math

import pytest

from lampe.calibration.parts import Parts, candidates, search_parts

START = Parts(head=512, tail=200, temperature=1.07)


def bowl(asked: list[Parts], *, heads: float = 1.0, spread: float = 0.0):
    """Losses of two contexts that are least at head 1024, tail 0 and A = 1.035."""

    def losses(parts: Parts) -> list[float]:
        asked.append(parts)
        loss = heads * abs(parts.head - 1024) / 1000 + parts.tail / 1000 + abs(parts.temperature - 1.035)
        return [loss + spread * (parts.head % 7), loss - spread * (parts.head % 7)]

    return losses


def test_each_part_is_looked_for_with_the_others_as_found():
    asked: list[Parts] = []
    found = search_parts(START, ["head", "tail", "temperature"], 8192, bowl(asked), 0.001)
    assert found == Parts(head=1024, tail=0, temperature=1.035)
    assert {parts.tail for parts in asked if parts.head != 1024} == {200}
    assert {parts.head for parts in asked} == {256, 512, 1024, 2048}
    assert {parts.temperature for parts in asked if parts.tail == 0} == {1.07, 1.0, 1.035, 1.1}


def test_only_what_is_wanted_is_looked_for():
    asked: list[Parts] = []
    assert search_parts(START, ["temperature"], 8192, bowl(asked), 0.001) == Parts(512, 200, 1.035)
    assert {(parts.head, parts.tail) for parts in asked} == {(512, 200)}
    assert search_parts(START, [], 8192, bowl(asked), 0.001) == START


def test_a_gain_inside_the_noise_changes_nothing():
    assert search_parts(START, ["head"], 8192, bowl([]), 1.0) == START
    assert search_parts(START, ["head"], 8192, bowl([], spread=5.0), 0.0) == START


@pytest.mark.parametrize(("part", "values"), [("head", [256, 512, 1024, 2048]), ("tail", [0, 204, 1024])])
def test_candidates_grow_with_the_window(part, values):
    assert candidates(part, 8192) == values
    assert candidates(part, 16) != candidates(part, 8192)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_infinitely_bad(bad):
    def losses(parts: Parts) -> list[float]:
        return {256: [bad, 0.0], 512: [1.0, 1.0], 1024: [0.5, 0.5]}.get(parts.head, [bad, bad])

    assert search_parts(START, ["head"], 8192, losses, 0.001).head == 1024
    assert search_parts(Parts(7, 200, 1.07), ["head"], 8192, losses, 0.001).head == 1024
    assert search_parts(START, ["head"], 8192, lambda _: [bad, 1.0], 0.001) == START
