"""The bound on request bytes held at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.budget import (
    LARGE_BYTES,
    MAX_BODY_BYTES,
    MAX_HELD_BYTES,
    RETRY_AFTER_S,
    ByteBudget,
    too_large,
)
from extproc.errors import Reason

LARGE = LARGE_BYTES + 1


def make(limit):
    return ByteBudget(limit)


def test_bytes_are_held_inside_and_given_back_after():
    budget = make(10)
    with budget.hold() as held:
        assert held.take(4) is None
        assert held.take(6) is None
        assert (held.reserved, budget.held) == (10, 10)
    assert budget.held == 0


def test_what_does_not_fit_is_refused_and_may_be_tried_again():
    budget = make(10)
    with budget.hold() as held:
        assert held.take(8) is None
        denied = held.take(3)
        assert (denied.reason, denied.retry_after_s) == (Reason.OVERLOADED, RETRY_AFTER_S)
        assert (held.reserved, budget.held) == (8, 8), "it takes nothing"


def test_one_request_leaves_less_for_the_others():
    budget = make(10)
    with budget.hold() as first, budget.hold() as second, budget.hold() as third:
        assert first.take(7) is None
        assert second.take(4)
        assert third.take(3) is None
    assert budget.held == 0


def test_the_smallest_bound_has_room_for_the_largest_body():
    """Else it would be told for ever to try again."""
    budget = make(MAX_BODY_BYTES)
    with budget.hold() as announced:
        assert announced.expect(MAX_BODY_BYTES) is None
    with budget.hold() as sent:
        assert sent.take(MAX_BODY_BYTES) is None


def test_an_exception_gives_back_too():
    budget = make(10)

    def fail():
        with budget.hold() as held:
            held.take(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert budget.held == 0


def test_nothing_is_always_granted():
    budget = make(0)
    with budget.hold() as held:
        assert held.take(0) is None
        assert held.take(1)


def test_the_largest_body_fits_the_default_and_a_larger_one_does_not():
    budget = make(MAX_HELD_BYTES)
    with budget.hold() as held:
        assert held.take(MAX_BODY_BYTES - 1) is None
        assert held.take(1) is None
        assert held.take(1) == too_large()
    assert budget.held == 0


def test_too_large_says_what_would_fit():
    denied = too_large()
    assert denied.reason is Reason.TOO_LARGE
    assert str(MAX_BODY_BYTES) in denied.message


def test_a_large_body_has_its_room_before_it_comes():
    budget = make(2 * LARGE)
    with budget.hold() as held:
        assert held.expect(LARGE) is None
        assert (held.reserved, budget.held) == (LARGE, LARGE)
        for size in (LARGE_BYTES, 1):
            assert held.take(size) is None
            assert held.reserved == LARGE, "what was announced is not counted twice"
        assert held.take(1) is not None, "more than was announced needs room of its own"
    assert budget.held == 0


@pytest.mark.parametrize("announced", [0, 1, LARGE_BYTES])
def test_a_small_body_is_held_when_it_comes(announced):
    budget = make(MAX_HELD_BYTES)
    with budget.hold() as held:
        assert held.expect(announced) is None
        assert budget.held == 0


@pytest.mark.parametrize("is_announced", [True, False])
def test_large_bodies_leave_room_for_small_ones(is_announced):
    budget = make(4 * LARGE)
    with budget.hold() as one, budget.hold() as two, budget.hold() as three, budget.hold() as small:
        for held in (one, two, three):
            denied = held.expect(LARGE) if is_announced else held.take(LARGE)
            assert (denied is not None) == (held is three)
        assert budget.held == 2 * LARGE, "half of the bound"
        assert small.take(LARGE_BYTES) is None


def test_a_body_that_grows_large_is_a_large_one():
    """However it was announced: with chunked encoding it is not announced at all."""
    budget = make(2 * LARGE_BYTES)
    with budget.hold() as held:
        assert held.take(LARGE_BYTES) is None
        assert held.take(1).reason is Reason.OVERLOADED


@given(
    limit=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60))),
)
def test_however_requests_interleave_the_bound_holds(limit, steps):
    """A step is (request, bytes); the step that a request cannot take ends it."""
    budget = make(limit)
    open_holds = {}
    for name, size in steps:
        if name not in open_holds:
            hold = budget.hold()
            open_holds[name] = hold, hold.__enter__()
        hold, held = open_holds[name]
        if held.take(size):
            assert budget.held + size > limit
            hold.__exit__(None, None, None)
            del open_holds[name]
        assert 0 <= budget.held <= limit
        assert budget.held == sum(held.reserved for _, held in open_holds.values())
    for hold, _ in open_holds.values():
        hold.__exit__(None, None, None)
    assert budget.held == 0
