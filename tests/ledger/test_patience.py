import pytest

from ledger.patience import PAUSE_S, TRIES, patiently
from ledger.store import LedgerError, LedgerUnavailableError


class Held:
    def __init__(self, times, fault=LedgerUnavailableError):
        self.times, self.fault, self.asked = times, fault, 0

    def __call__(self):
        self.asked += 1
        if self.asked <= self.times:
            raise self.fault("held")
        return "done"


def test_what_is_held_for_a_while_is_tried_again():
    slept = []
    assert patiently(Held(3), slept.append) == "done"
    assert slept == [PAUSE_S] * 3


def test_what_is_held_for_ever_is_given_up():
    held = Held(1000)
    with pytest.raises(LedgerUnavailableError):
        patiently(held, lambda _: None)
    assert held.asked == TRIES


def test_what_no_time_heals_is_not_tried_again():
    held = Held(1, LedgerError)
    with pytest.raises(LedgerError):
        patiently(held, lambda _: None)
    assert held.asked == 1
