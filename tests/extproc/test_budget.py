"""The bound on request bytes held at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.budget import MAX_BODY_BYTES, MAX_HELD_BYTES, ByteBudget
from extproc.stores.memory import MemoryMeter


def make(limit):
    meter = MemoryMeter()
    return ByteBudget(limit, meter), meter


def test_bytes_are_held_inside_and_given_back_after():
    budget, meter = make(10)
    with budget.hold() as held:
        assert held.take(4)
        assert held.take(6)
        assert (held.size, budget.held, meter.held_bytes) == (10, 10, 10)
    assert (budget.held, meter.held_bytes) == (0, 0)


def test_what_does_not_fit_is_refused_whole():
    budget, meter = make(10)
    with budget.hold() as held:
        assert held.take(8)
        assert not held.take(3)
        assert (held.size, budget.held, meter.held_bytes) == (8, 8, 8)
        assert held.take(2), "a refusal takes nothing"


def test_one_request_leaves_less_for_the_others():
    budget, _ = make(10)
    with budget.hold() as first, budget.hold() as second:
        assert first.take(7)
        assert not second.take(4)
        assert second.take(3)
    assert budget.held == 0


def test_an_exception_gives_back_too():
    budget, meter = make(10)
    with pytest.raises(ZeroDivisionError), budget.hold() as held:
        assert held.take(10) / 0
    assert (budget.held, meter.held_bytes) == (0, 0)


def test_nothing_is_always_granted():
    budget, _ = make(0)
    with budget.hold() as held:
        assert held.take(0)
        assert not held.take(1)


def test_the_largest_body_fits_the_default():
    budget, _ = make(MAX_HELD_BYTES)
    with budget.hold() as held:
        assert held.take(MAX_BODY_BYTES)


@given(
    limit=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60))),
)
def test_however_requests_interleave_the_bound_holds(limit, steps):
    """A step is (request, bytes); the step that a request cannot take ends it."""
    budget, meter = make(limit)
    open_holds = {}
    for name, size in steps:
        if name not in open_holds:
            hold = budget.hold()
            open_holds[name] = hold, hold.__enter__()
        hold, held = open_holds[name]
        if not held.take(size):
            assert budget.held + size > limit
            hold.__exit__(None, None, None)
            del open_holds[name]
        assert 0 <= budget.held <= limit
        assert budget.held == sum(held.size for _, held in open_holds.values())
    for hold, _ in open_holds.values():
        hold.__exit__(None, None, None)
    assert budget.held == meter.held_bytes == 0
