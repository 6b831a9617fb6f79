"""Open after some faults in a row; one answer closes it."""

from extproc.limits.breaker import Breaker


def test_a_fault_alone_changes_nothing():
    breaker = Breaker()
    assert [breaker.fault(), breaker.fault(), breaker.well(), breaker.fault()] == [False] * 4
    assert not breaker.open


def test_the_third_in_a_row_opens_it_once():
    breaker = Breaker()
    assert [breaker.fault() for _ in range(5)] == [False, False, True, False, False]
    assert breaker.open


def test_one_answer_closes_it():
    breaker = Breaker(faults=1)
    breaker.fault()
    assert [breaker.well(), breaker.well()] == [True, False]
    assert not breaker.open
