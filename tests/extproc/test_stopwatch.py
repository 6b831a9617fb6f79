"""What a decision took, less the time spent waiting for others."""

import time

from extproc.stopwatch import Stopwatch

PAUSE_S = 0.02


def test_it_runs_from_the_moment_it_is_made():
    spent = Stopwatch()
    time.sleep(PAUSE_S)
    first = spent.read_s()
    assert first > PAUSE_S * 0.9, "sleep may end a clock tick early"
    assert spent.read_s() >= first


def test_standing_still_does_not_count_and_adds_up():
    before_s = time.perf_counter()
    spent = Stopwatch()
    stood_s = 0.0
    for _ in range(2):
        spent.stop()
        began_s = time.perf_counter()
        time.sleep(PAUSE_S)
        stood_s += time.perf_counter() - began_s
        spent.go_on()
    read_s = spent.read_s()
    assert 0 <= read_s <= time.perf_counter() - before_s - stood_s
