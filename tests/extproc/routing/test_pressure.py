"""Pressure: an upper mark, a lower one, and nothing in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.load import Load
from extproc.routing.pressure import Pressure, PressureRules, crosses


@pytest.mark.parametrize(
    ("kv", "waiting", "reasons"),
    [
        (0.95, 1000, ()),
        (0.951, 0, ("kv_cache",)),
        (0.0, 1001, ("queue",)),
        (1.0, 5000, ("kv_cache", "queue")),
    ],
)
def test_marks(kv, waiting, reasons):
    pressure = Pressure(PressureRules())
    pressure.look(Load(kv_usage=kv, waiting=waiting), 1.0)
    assert pressure.reasons == reasons


def test_between_the_marks_it_stays_what_it_was():
    pressure, seen = Pressure(PressureRules()), []
    for kv in (0.9, 0.96, 0.9, 0.85, 0.84, 0.9):
        pressure.look(Load(kv_usage=kv), 1.0)
        seen.append(pressure.kv_cache)
    assert seen == [False, True, True, True, False, False]


def test_a_stale_reading_says_nothing():
    pressure = Pressure(PressureRules())
    pressure.look(Load(kv_usage=1.0), 1.0)
    pressure.pass_time(6.0)
    assert pressure.reasons == ("kv_cache",)
    pressure.pass_time(6.1)
    assert pressure.reasons == ()


def test_none_is_never():
    pressure = Pressure(PressureRules(kv_usage=None, waiting=None))
    pressure.look(Load(kv_usage=1.0, waiting=10**6), 1.0)
    assert pressure.reasons == ()


@given(st.booleans(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_outside_the_marks_the_past_does_not_matter(was, value, one, other):
    low, high = sorted((one, other))
    on = crosses(was, value, high, low)
    if value > high:
        assert on
    elif value < low:
        assert not on
    else:
        assert on == was
