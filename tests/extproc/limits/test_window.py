"""Sliding window, against a list of all that was taken."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.state import NEVER, Hold, Look
from extproc.limits.window import SLOTS, Window, WindowRule

SECOND = 1_000_000
BEGIN = 1_763_600_000 * SECOND  # a whole minute and 20 s
MINUTE = WindowRule(1000, SECOND)
"""A thousand a minute; slots of a second."""


def hold(amount, at_us=BEGIN):
    return Hold("k", amount, at_us, at_us, strict=False)


def take(window, amount, at_us=BEGIN):
    return MINUTE.state(window, at_us).take(hold(amount, at_us))


def fresh():
    return MINUTE.state(None, BEGIN)


def test_it_begins_whole():
    assert fresh().look(BEGIN) == Look(1000, 0)
    assert fresh().wait_us(1000, BEGIN) == 0
    assert fresh().wait_us(1001, BEGIN) == NEVER


def test_what_was_taken_comes_back_a_window_and_a_slot_later():
    window, _ = take(fresh(), 600, BEGIN + 5)
    window, _ = take(window, 400, BEGIN + 10 * SECOND)
    assert window.wait_us(1, BEGIN + 10 * SECOND) == 51 * SECOND
    assert window.wait_us(601, BEGIN + 10 * SECOND) == 61 * SECOND
    assert window.look(BEGIN + 10 * SECOND) == Look(0, 61 * SECOND)
    before = MINUTE.state(window, BEGIN + 61 * SECOND - 1)
    after = MINUTE.state(window, BEGIN + 61 * SECOND)
    assert (before.look(BEGIN).remaining, after.look(BEGIN).remaining) == (0, 600)


def test_settling_corrects_the_slot_it_was_taken_in():
    window, held = take(fresh(), 600)
    window, _ = take(window, 100, BEGIN + 30 * SECOND)
    window, crossed = window.settle(held, 250, BEGIN + 40 * SECOND)
    assert crossed == ()
    assert window.look(BEGIN + 40 * SECOND).remaining == 650
    assert MINUTE.state(window, BEGIN + 61 * SECOND).total == 100


def test_an_estimate_that_was_short_leaves_it_in_debt():
    window, held = take(fresh(), 600)
    window, _ = window.settle(held, 1600, BEGIN)
    assert window.look(BEGIN).remaining == -600
    assert window.wait_us(0, BEGIN) == 61 * SECOND


def test_all_given_back_is_never_taken():
    window, held = take(fresh(), 600)
    window, _ = window.settle(held, 0, BEGIN)
    assert window == fresh()
    assert window.gone_us(BEGIN) == BEGIN


def test_settled_after_its_slot_is_out_it_changes_nothing():
    window, held = take(fresh(), 600)
    later = BEGIN + 61 * SECOND
    for used in (0, 900):
        assert window.settle(held, used, later)[0] == MINUTE.state(None, later)


def test_a_clock_that_was_set_back_gives_nothing_away():
    window, _ = take(fresh(), 600)
    earlier = MINUTE.state(window, BEGIN - 5 * SECOND)
    assert earlier.look(BEGIN - 5 * SECOND).remaining == 400
    assert earlier.current == window.current


def test_a_new_period_counts_all_as_taken_just_now():
    window, held = take(fresh(), 600)
    later = BEGIN + 30 * SECOND
    hour = WindowRule(5000, 60 * SECOND).state(window, later)
    assert hour.look(later).remaining == 4400
    assert hour.settle(held, 0, later)[0].total == 0, "the same minute: the same slot"
    next_minute = WindowRule(5000, 60 * SECOND).state(window, BEGIN + 50 * SECOND)
    assert next_minute.settle(held, 0, BEGIN + 50 * SECOND)[0].total == 600


def test_a_new_amount_goes_on_with_the_count():
    window, _ = take(fresh(), 600)
    assert WindowRule(500, SECOND).state(window, BEGIN).look(BEGIN).remaining == -100


def test_a_state_is_bounded():
    window = fresh()
    for at_s in range(1000):
        window, _ = take(window, 1, BEGIN + at_s * SECOND)
    assert len(window.slots) == SLOTS + 1


TAKEN = st.lists(
    st.tuples(st.integers(0, 20 * SECOND), st.integers(0, 120), st.none() | st.integers(0, 200)),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(TAKEN)
def test_never_over_in_any_window(history):
    """Exact at the edges: within any 60 s no more is admitted than 300, and what is refused would have
    made it more within 61 s. Settled later, what was used counts at the time it was reserved."""
    rule = WindowRule(300, SECOND)
    window, now_us, book, open_ = rule.state(None, BEGIN), BEGIN, [], []
    for wait_us, amount, used in history:
        now_us += wait_us
        window = rule.state(window, now_us)
        recent = sum(n for at_us, n in book if at_us > now_us - 60 * SECOND)
        recent_and_slot = sum(n for at_us, n in book if at_us > now_us - 61 * SECOND)
        assert rule.capacity - recent_and_slot <= window.look(now_us).remaining
        assert window.look(now_us).remaining <= rule.capacity - recent
        if window.wait_us(amount, now_us) == 0:
            window, held = window.take(hold(amount, now_us))
            open_.append((len(book), held))
            book.append((now_us, amount))
        if used is not None and open_:
            index, held = open_.pop(0)
            book[index] = (held.at_us, min(used, held.amount))
            window, _ = window.settle(held, min(used, held.amount), now_us)
        for at_us, _ in book:
            assert sum(n for t, n in book if at_us <= t < at_us + 60 * SECOND) <= 300


@settings(deadline=None)
@given(TAKEN, st.integers(0, 300))
def test_the_wait_is_the_shortest(history, amount):
    rule = WindowRule(300, SECOND)
    window, now_us = rule.state(None, BEGIN), BEGIN
    for wait_us, taken, _ in history:
        now_us += wait_us
        window, _ = rule.state(window, now_us).take(hold(taken, now_us))
    wait_us = window.wait_us(amount, now_us)
    then_us = now_us + wait_us
    assert rule.state(window, then_us).wait_us(amount, then_us) == 0
    if wait_us:
        assert rule.state(window, then_us - 1).wait_us(amount, then_us - 1) == 1


def test_slots_never_go_below_zero():
    window, held = take(fresh(), 100)
    elsewhere = Window(MINUTE, window.current, (), 0)
    assert elsewhere.settle(held, 0, BEGIN)[0].total == 0
