"""Slowness: p99 of the engine's own histogram, slice by slice."""

from math import inf

import pytest

from engines.load import Load
from extproc.routing.slowness import Slowness, SlownessRules, quantile

BOUNDS = (1.0, 5.0, 10.0, 20.0, 40.0, inf)


class Histogram:
    """An engine's, since it started."""

    def __init__(self):
        self.counts = [0] * len(BOUNDS)

    def answer(self, count, seconds):
        for index, bound in enumerate(BOUNDS):
            if seconds <= bound:
                self.counts[index] += count
        return self

    def load(self):
        return Load(ttft_buckets=tuple(zip(BOUNDS, self.counts, strict=True)))


@pytest.mark.parametrize(
    ("answers", "p99"),
    [
        (((100, 0.5),), 0.99),
        (((99, 0.5), (1, 15)), 1.0),
        (((98, 0.5), (2, 15)), 15.0),
        (((1, 100),), 40.0),
    ],
)
def test_quantile(answers, p99):
    histogram = Histogram()
    for count, seconds in answers:
        histogram.answer(count, seconds)
    assert quantile(histogram.load().ttft_buckets, 0.99) == pytest.approx(p99)


def slow_at(slices, limit_s=10.0):
    """The second at which it is called slow, given what is answered before each look; None: never."""
    slowness, histogram = Slowness(SlownessRules(ttft_p99_s=limit_s)), Histogram()
    slowness.look(histogram.load(), 0.0)
    for number, answers in enumerate(slices, 1):
        for count, seconds in answers:
            histogram.answer(count, seconds)
        if slowness.look(histogram.load(), number * 10.0):
            return number * 10.0
    return None


SLOW, FAST, NONE = [(5, 15.0)], [(500, 0.5)], []


@pytest.mark.parametrize(
    ("slices", "at_s"),
    [
        ([SLOW] * 6, 60.0),
        ([SLOW] * 5, None),
        ([FAST, *[SLOW] * 6], 70.0),
        ([SLOW, SLOW, FAST, *[SLOW] * 5], None),
        ([SLOW, NONE, NONE, NONE, NONE, SLOW], 60.0),
        ([NONE] * 10, None),
        ([[(1, 15.0)], NONE, NONE, NONE, NONE, [(1, 15.0)]], None),
        ([[(98, 0.5), (2, 15.0)]] * 6, 60.0),
        ([[(995, 0.5), (5, 15.0)]] * 6, None),
    ],
)
def test_each_slice_with_answers_must_be_slow(slices, at_s):
    assert slow_at(slices) == at_s


def test_never_is_never():
    assert slow_at([SLOW] * 20, None) is None


def test_looks_within_a_slice_change_nothing():
    slowness, histogram, found = Slowness(SlownessRules()), Histogram(), []
    for tick in range(601):
        histogram.answer(1, 15.0)
        found.append(slowness.look(histogram.load(), tick * 0.2))
    assert found.index(True) == 300
    assert found.count(True) == 2


def test_a_restart_begins_anew():
    slowness = Slowness(SlownessRules())
    old = Histogram().answer(1000, 15.0)
    slowness.look(Histogram().load(), 0.0)
    slowness.look(old.load(), 50.0)
    assert not slowness.look(Histogram().answer(5, 15.0).load(), 61.0)
    assert not slowness.look(Histogram().answer(10, 15.0).load(), 80.0)


def test_an_engine_that_tells_none_is_never_slow():
    slowness = Slowness(SlownessRules())
    assert not any(slowness.look(Load(), at * 10.0) for at in range(20))
