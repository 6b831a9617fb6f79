"""What a decision took, less the time spent waiting for others."""

import time

import pytest

from extproc.stopwatch import Stopwatch

PAUSE_S = 0.02


def test_it_runs_from_the_moment_it_is_made():
    spent = Stopwatch()
    time.sleep(PAUSE_S)
    first = spent.read_s()
    assert first > PAUSE_S * 0.9, "sleep may end a clock tick early"
    assert spent.read_s() >= first


def test_pauses_do_not_count_and_add_up():
    before_s = time.perf_counter()
    spent = Stopwatch()
    paused_s = 0.0
    for _ in range(2):
        with spent.paused():
            began_s = time.perf_counter()
            time.sleep(PAUSE_S)
            paused_s += time.perf_counter() - began_s
    read_s = spent.read_s()
    assert 0 <= read_s <= time.perf_counter() - before_s - paused_s


def test_a_pause_that_fails_is_a_pause_all_the_same():
    before_s = time.perf_counter()
    spent = Stopwatch()
    with pytest.raises(ZeroDivisionError), spent.paused():
        began_s = time.perf_counter()
        time.sleep(PAUSE_S)
        paused_s = time.perf_counter() - began_s
        raise ZeroDivisionError
    read_s = spent.read_s()
    assert 0 <= read_s <= time.perf_counter() - before_s - paused_s
