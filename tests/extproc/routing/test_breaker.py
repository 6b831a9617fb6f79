"""The breaker: a table of stories, and any story against a model that remembers everything."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.breaker import SLICES, Breaker, BreakerRules, Tally

RULES = BreakerRules()


def told(breaker, outcomes, at_s, began_s=None):
    """`.` went well, `x` did not."""
    for each in outcomes:
        breaker.ended(ok=each == ".", began_s=at_s if began_s is None else began_s, now_s=at_s)


def opened(at_s=0.0, rules=RULES):
    breaker = Breaker(rules)
    told(breaker, "xxxxx", at_s)
    assert breaker.state == "open"
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", "closed"),
        ("xxxx", "closed"),
        ("xxxxx", "open"),
        (".....xxxxx", "closed"),
        (".....xxxxxx", "open"),
        ("." * 100 + "x" * 100, "closed"),
        ("." * 100 + "x" * 101, "open"),
    ],
)
def test_more_than_half_of_at_least_five(outcomes, state):
    breaker = Breaker(RULES)
    told(breaker, outcomes, 1.0)
    assert breaker.state == state
    assert breaker.reason == ("errors" if state == "open" else "")


def test_old_failures_are_forgotten():
    breaker = Breaker(RULES)
    told(breaker, "xxxx", 0.0)
    told(breaker, "x", 10.5)
    assert breaker.state == "closed"
    assert breaker.is_live(10.5)
    assert not breaker.is_live(30.0)


def test_never_is_never():
    breaker = Breaker(BreakerRules(errors=None))
    told(breaker, "x" * 100, 1.0)
    assert breaker.admits


def test_after_the_back_off_a_few_are_let_through():
    breaker = opened()
    assert (breaker.until_s, breaker.admits) == (5.0, False)
    breaker.pass_time(4.9)
    assert breaker.state == "open"
    for _ in range(RULES.trials):
        breaker.pass_time(5.0)
        assert breaker.admits
        breaker.picked(5.0)
    assert breaker.state == "half_open"
    assert not breaker.admits
    breaker.pass_time(breaker.until_s)  # nobody has told what became of them
    assert breaker.admits


def test_one_success_closes_and_begins_anew():
    breaker = opened()
    told(breaker, ".", 5.0, began_s=5.0)
    assert (breaker.state, breaker.reason, breaker.until_s) == ("closed", "", inf)
    told(breaker, "xxxx", 6.0)
    assert breaker.state == "closed"


def test_what_began_before_proves_nothing():
    breaker = opened()
    breaker.pass_time(5.0)
    told(breaker, ".x.x", 6.0, began_s=4.9)
    assert breaker.state == "half_open"


def test_each_failed_try_doubles_the_back_off_up_to_a_bound():
    breaker, at_s, lengths = opened(), 0.0, []
    for _ in range(6):
        lengths.append(breaker.until_s - at_s)
        at_s = breaker.until_s
        told(breaker, "x", at_s)
        assert (breaker.state, breaker.reason) == ("open", "errors")
    assert lengths == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize(("well_s", "length_s"), [(1.0, 10.0), (61.0, 5.0)])
def test_a_relapse_goes_on_where_it_was_a_new_story_does_not(well_s, length_s):
    breaker = opened()
    told(breaker, ".", 5.0, began_s=5.0)
    told(breaker, "xxxxx", 5.0 + well_s)
    assert breaker.until_s == 5.0 + well_s + length_s


def test_somebody_else_may_trip_it():
    breaker = Breaker(RULES)
    breaker.trip("slow", 1.0)
    assert (breaker.state, breaker.reason) == ("open", "slow")


STEPS = st.lists(
    st.tuples(st.sampled_from(("ok", "fail", "late_ok", "late_fail", "pick", "wait")),
              st.floats(0, 8, allow_nan=False)),
    max_size=80,
)  # fmt: skip


class Simple:
    """The same in the plainest words: every request is remembered."""

    def __init__(self, rules):
        self.rules, self.state, self.ends = rules, "closed", []
        self.since, self.until, self.doublings, self.left = -inf, inf, 0, 0

    def step(self, what, now):
        if now >= self.until:
            if self.state == "open":
                self.state, self.since = "half_open", now
            self.left, self.until = self.rules.trials, now + self.rules.open_s
        if what == "pick" and self.state == "half_open":
            self.left -= 1
        if what in {"ok", "fail"} or (what.startswith("late") and self.state == "closed"):
            self.end("ok" in what, now)

    def end(self, ok, now):
        if self.state == "half_open":
            self.close(now) if ok else self.open(now)
        elif self.state == "closed":
            width = self.rules.over_s / SLICES
            self.ends.append((int(now / width), ok))
            seen = [was for number, was in self.ends if number > int(now / width) - SLICES]
            bad = seen.count(False)
            if not ok and len(seen) >= self.rules.least and bad > self.rules.errors * len(seen):
                self.open(now)

    def open(self, now):
        if self.state == "closed" and now - self.since > self.rules.open_most_s:
            self.doublings = 0
        length = min(self.rules.open_s * 2**self.doublings, self.rules.open_most_s)
        self.doublings += 1
        self.state, self.ends, self.since, self.until = "open", [], now, now + length

    def close(self, now):
        self.state, self.since, self.until = "closed", now, inf


@given(STEPS, st.integers(1, 6), st.floats(0.1, 0.9))
def test_any_story_is_as_the_simple_model_tells_it(steps, least, share):
    rules = BreakerRules(errors=share, least=least)
    breaker, simple, now = Breaker(rules), Simple(rules), 100.0
    for what, pause in steps:
        now += pause
        simple.step(what, now)
        if what == "pick":
            breaker.picked(now)
        elif what == "wait":
            breaker.pass_time(now)
        else:
            began = -inf if what.startswith("late") else now
            breaker.ended(ok="ok" in what, began_s=began, now_s=now)
        assert (breaker.state, breaker.until_s) == (simple.state, simple.until)
        may = simple.state == "closed" or (simple.state == "half_open" and simple.left > 0)
        assert breaker.admits == may


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=60))
def test_a_tally_holds_its_window_and_no_more(ends):
    tally, now, seen = Tally(10.0), 0.0, []
    for ok, pause in ends:
        now += pause
        tally.add(ok=ok, now_s=now)
        seen.append((int(now), ok))
        inside = [was for number, was in seen if number > int(now) - SLICES]
        assert (tally.well, tally.failed) == (inside.count(True), inside.count(False))
    tally.clear()
    assert tally.total == 0
