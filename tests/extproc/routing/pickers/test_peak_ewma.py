"""Latency of late, times who waits for it."""

import pytest

from engines.load import Load, Total
from extproc.routing.pickers.peak_ewma import DEFAULT_S, PeakEwma
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import asked, candidate


def look(each, at_s, total_s, count, **now):
    each.load, each.seen_s = Load(ttft_s=Total(total_s, count), **now), at_s


def costs(picker, candidates, at_s):
    return {each.endpoint: each.cost for each in picker.explain(asked(), candidates, at_s)}


def test_peaks_count_at_once_and_fade():
    picker, one = PeakEwma(DEFAULTS, Prefixes()), candidate("a:1")
    look(one, 0.0, 0.0, 0)
    assert costs(picker, [one], 0.0) == {"a:1": DEFAULT_S}
    look(one, 1.0, 2.0, 1)
    assert costs(picker, [one], 1.0) == {"a:1": 2.0}
    look(one, 2.0, 2.1, 2)
    faded = costs(picker, [one], 2.0)["a:1"]
    assert 1.7 < faded < 1.9
    look(one, 62.0, 2.2, 3)
    assert costs(picker, [one], 62.0)["a:1"] == pytest.approx(0.1, abs=0.01)


def test_a_peak_after_which_nobody_asks_fades():
    picker = PeakEwma(DEFAULTS, Prefixes())
    slow, fast = candidate("slow:1"), candidate("fast:1")
    for each in (slow, fast):
        look(each, 0.0, 0.0, 0)
    picker.choose(asked(), [slow, fast], 0.0)
    first = []
    for number in range(1, 100):
        at_s = float(number)
        look(slow, at_s, 20.0, 1)
        look(fast, at_s, 0.1 * number, number)
        first.append(picker.choose(asked(), [slow, fast], at_s).endpoints[0])
    assert first[:30] == ["fast:1"] * 30
    assert first[-1] == "slow:1"
    assert costs(picker, [slow], 100.0) == {"slow:1": DEFAULT_S}


def test_the_same_look_is_learned_from_once():
    picker, one = PeakEwma(DEFAULTS, Prefixes()), candidate("a:1")
    look(one, 0.0, 0.0, 0)
    picker.choose(asked(), [one], 0.0)
    look(one, 1.0, 3.0, 3)
    assert costs(picker, [one], 1.0) == costs(picker, [one], 1.0) == {"a:1": 1.0}


def test_a_restart_teaches_nothing():
    picker, one = PeakEwma(DEFAULTS, Prefixes()), candidate("a:1")
    look(one, 0.0, 100.0, 100)
    picker.choose(asked(), [one], 0.0)
    look(one, 1.0, 0.5, 1)
    assert costs(picker, [one], 1.0) == {"a:1": DEFAULT_S}


def test_slow_and_idle_or_fast_and_busy():
    picker = PeakEwma(DEFAULTS, Prefixes())
    slow, fast = candidate("slow:1"), candidate("fast:1")
    look(slow, 0.0, 0.0, 0)
    look(fast, 0.0, 0.0, 0)
    picker.choose(asked(), [slow, fast], 0.0)
    look(slow, 1.0, 1.0, 1)
    look(fast, 1.0, 0.1, 1, running=4)
    assert picker.choose(asked(), [slow, fast], 1.0).endpoints[0] == "fast:1"
    fast.unseen = 10
    assert picker.choose(asked(), [slow, fast], 1.0).endpoints[0] == "slow:1"
    assert picker.choose(asked(), [slow, fast], 5.0).rung == "in_flight"
