"""Token bucket and leaky bucket, against what they should do by the book."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.bucket import Bucket, BucketRule
from extproc.limits.rate import make_rate
from extproc.limits.state import NEVER, Hold, Look

SECOND = 1_000_000
BEGIN = 1_763_600_000 * SECOND
PER_MINUTE = BucketRule(1000, make_rate(1000, 60))


def hold(amount, at_us=BEGIN, *, strict=False):
    return Hold("k", amount, at_us, at_us, strict)


def take(bucket, amount, at_us=BEGIN, *, strict=False):
    return bucket.rule.state(bucket, at_us).take(hold(amount, at_us, strict=strict))


def fresh(rule=PER_MINUTE):
    return rule.state(None, BEGIN)


def test_it_begins_whole():
    assert fresh().look(BEGIN) == Look(1000, 0)
    assert fresh().wait_us(1000, BEGIN) == 0


def test_more_than_it_holds_never_fits():
    assert fresh().wait_us(1001, BEGIN) == NEVER


def test_it_comes_back_continuously():
    bucket, _ = take(fresh(), 1000)
    assert bucket.wait_us(1, BEGIN) == 60_000
    assert bucket.wait_us(500, BEGIN) == 30 * SECOND
    half = bucket.rule.state(bucket, BEGIN + 30 * SECOND)
    assert half.look(BEGIN + 30 * SECOND) == Look(500, 30 * SECOND)
    assert bucket.rule.state(bucket, BEGIN + 60 * SECOND) == PER_MINUTE.state(
        None, BEGIN + 60 * SECOND
    )


def test_a_burst_of_its_own():
    rule = BucketRule(50, make_rate(1000, 60))
    assert rule.state(None, BEGIN).wait_us(51, BEGIN) == NEVER
    bucket, _ = take(rule.state(None, BEGIN), 50)
    assert bucket.look(BEGIN).reset_us == 3 * SECOND


def test_settling_puts_the_truth_in_place():
    bucket, held = take(fresh(), 700)
    bucket, crossed = bucket.settle(held, 200, BEGIN)
    assert crossed == ()
    assert bucket.look(BEGIN).remaining == 800


def test_an_estimate_that_was_short_leaves_it_in_debt():
    bucket, held = take(fresh(), 700)
    bucket, _ = bucket.settle(held, 1700, BEGIN)
    assert bucket.look(BEGIN) == Look(-700, 102 * SECOND)
    assert bucket.wait_us(0, BEGIN) == 42 * SECOND


def test_all_given_back_is_never_taken():
    bucket, held = take(fresh(), 700)
    bucket, _ = bucket.settle(held, 0, BEGIN + 5)
    assert bucket == PER_MINUTE.state(None, BEGIN + 5)
    assert bucket.gone_us(BEGIN + 5) == BEGIN + 5


def test_what_is_given_back_late_does_not_overfill():
    bucket, held = take(fresh(), 1000)
    later = BEGIN + 59 * SECOND
    bucket, _ = bucket.settle(held, 0, later)
    assert bucket.look(later) == Look(1000, 0)


def test_strict_gives_back_only_what_cannot_be_used_twice():
    """Whoever used 400 of 1000 a minute ago has a whole bucket now, and it is 999 that were taken."""
    loose, strict = fresh(), fresh()
    later = BEGIN + 60 * SECOND - 1
    for bucket, is_strict, remaining in ((loose, False, 600), (strict, True, 1)):
        first, held = take(bucket, 1000, strict=is_strict)
        second, _ = take(first, 999, later, strict=is_strict)
        settled, _ = second.settle(held, 400, later)
        assert settled.look(later).remaining == remaining


def test_strict_gives_nothing_back_once_it_has_been_empty():
    first, held = take(fresh(), 100, strict=True)
    later = BEGIN + 7 * SECOND
    second, _ = take(first, 900, later, strict=True)
    settled, _ = second.settle(held, 0, later)
    assert settled == second


def test_a_clock_that_was_set_back_gives_nothing_away():
    bucket, _ = take(fresh(), 500)
    earlier = PER_MINUTE.state(bucket, BEGIN - SECOND)
    assert earlier.look(BEGIN - SECOND).remaining == 500


def test_a_new_rate_holds_from_now_on():
    bucket, _ = take(fresh(), 1000)
    middle = BEGIN + 30 * SECOND
    slow = BucketRule(2000, make_rate(10, 60)).state(bucket, middle)
    assert slow.look(middle).remaining == 1500
    assert slow.look(middle + 60 * SECOND).remaining == 1510
    assert BucketRule(400, make_rate(1000, 60)).state(bucket, middle).look(middle).remaining == -100


def test_anew_is_empty():
    assert PER_MINUTE.anew(BEGIN) == Bucket(PER_MINUTE, 0, BEGIN, BEGIN)


RULES = st.builds(
    lambda capacity, amount, period_s: BucketRule(capacity, make_rate(amount, period_s)),
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([1, 3, 60]),
)


@settings(deadline=None)
@given(RULES, st.integers(0, 400), st.integers(0, 400), st.integers(0, 10**8))
def test_the_wait_is_the_shortest(rule, first, amount, later_us):
    bucket, _ = rule.state(None, BEGIN).take(hold(first))
    now_us = BEGIN + later_us
    bucket = rule.state(bucket, now_us)
    wait_us = bucket.wait_us(amount, now_us)
    if wait_us == NEVER:
        assert amount > rule.capacity
    else:
        assert rule.state(bucket, now_us + wait_us).wait_us(amount, now_us + wait_us) == 0
    if wait_us > 0:
        assert rule.state(bucket, now_us + wait_us - 1).wait_us(amount, now_us + wait_us - 1) > 0


@settings(deadline=None)
@given(RULES, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 20)), max_size=20))
def test_the_level_is_exact_however_often_it_is_asked_for(rule, steps):
    """The book: pour, drain by rate times time, never below nothing; whole units leave."""
    bucket, now_us = rule.state(None, BEGIN), BEGIN
    rate = Fraction(rule.rate.amount, rule.rate.ticks * rule.rate.tick_us)
    level, at_us = Fraction(0), BEGIN
    for wait_us, amount in steps:
        now_us += wait_us
        level = max(Fraction(0), level - (now_us - at_us) * rate)
        at_us = now_us
        bucket = rule.state(bucket, now_us)
        assert level <= bucket.level_at(now_us) < level + 1
        bucket, _ = bucket.take(hold(amount, now_us))
        level = bucket.level_at(now_us) if bucket.at_us == now_us else level + amount
    assert bucket.look(now_us).reset_us >= 0


SHARES = st.sampled_from([1.0, 0.4, 0.0]) | st.floats(0, 1)
WAITS = st.sampled_from([0.0, 0.95, 0.5]) | st.floats(0, 2)


@st.composite
def histories(draw):
    """A rule, and what several requests do, each step a part of something: how long to wait, of the time
    in which it drains; what a request that is open has used, of what it reserved; and how much is
    reserved, of what it holds."""
    rule = draw(RULES)
    drains_us = rule.rate.time_us(rule.capacity)
    turns = draw(st.lists(st.tuples(WAITS, st.none() | SHARES, SHARES), max_size=12))
    return rule, [(int(w * drains_us), u, int(r * rule.capacity)) for w, u, r in turns]


@settings(max_examples=300, deadline=None)
@given(histories())
def test_strict_is_never_over_in_any_stretch_of_time(history):
    """Whatever is reserved, used less, and given back late: in no stretch of time has more been
    admitted than a bucketful and what drains in that time."""
    rule, turns = history
    bucket, now_us = rule.state(None, BEGIN), BEGIN
    rate = Fraction(rule.rate.amount, rule.rate.ticks * rule.rate.tick_us)
    admitted = []  # of each: when, and what it has used or may still use
    open_ = []
    for wait_us, share, amount in turns:
        now_us += wait_us
        if open_ and share is not None:
            index, held = open_.pop(0)
            used = int(held.amount * share)
            bucket, _ = bucket.settle(held, used, now_us)
            admitted[index] = (held.at_us, used)
        bucket = rule.state(bucket, now_us)
        while bucket.wait_us(amount, now_us) == 0 and len(open_) < 9:
            bucket, held = bucket.take(hold(amount, now_us, strict=True))
            open_.append((len(admitted), held))
            admitted.append((now_us, amount))
        total = 0
        for at_us, used in reversed(admitted):
            total += used
            assert total <= rule.capacity + rate * (now_us - at_us)


@settings(deadline=None)
@given(histories())
def test_loose_is_right_over_time(history):
    """Over all, no more is used than a bucketful and what has drained."""
    rule, turns = history
    bucket, now_us = rule.state(None, BEGIN), BEGIN
    rate = Fraction(rule.rate.amount, rule.rate.ticks * rule.rate.tick_us)
    total, open_ = 0, []
    for wait_us, share, amount in turns:
        now_us += wait_us
        if open_ and share is not None:
            held = open_.pop(0)
            bucket, _ = bucket.settle(held, int(held.amount * share), now_us)
            total -= held.amount - int(held.amount * share)
        bucket = rule.state(bucket, now_us)
        if bucket.wait_us(amount, now_us) == 0:
            bucket, held = bucket.take(hold(amount, now_us))
            open_.append(held)
            total += amount
        assert total <= rule.capacity + rate * (now_us - BEGIN)


@pytest.mark.parametrize("strict", [True, False])
@settings(deadline=None)
@given(RULES, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 300)), max_size=9))
def test_what_is_all_given_back_leaves_nothing(strict, rule, taken):
    """In strict too, as long as nothing has drained meanwhile."""
    bucket, now_us, open_ = rule.state(None, BEGIN), BEGIN, []
    for wait_us, amount in taken:
        now_us += 0 if strict else wait_us
        bucket, held = rule.state(bucket, now_us).take(hold(amount, now_us, strict=strict))
        open_.append(held)
    for held in open_:
        bucket, _ = bucket.settle(held, 0, now_us)
    assert bucket.look(now_us) == Look(rule.capacity, 0)
