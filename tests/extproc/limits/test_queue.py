"""Whose turn it is: shares by weight, nobody starves, and guesses how long it takes."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.base import Place
from extproc.limits.bucket import Bucket, BucketRule
from extproc.limits.queue import NOBODY, Ahead, Line, expect_us, name_of, read_name
from extproc.limits.rate import make_rate
from extproc.limits.semaphore import Semaphore, SemaphoreRule
from extproc.limits.state import NEVER

WEIGHTS = {"interactive": 8, "normal": 3, "batch": 1}


class Queue:
    """A line, and a clock that moves a millisecond with every turn."""

    def __init__(self):
        self.line, self.number, self.now_us = Line(), 0, 1_000_000
        self.served = []

    def join(self, priority="batch", tenant="acme", cost=1, times=1):
        for _ in range(times):
            self.number += 1
            place = Place("slots:", priority, f"k{self.number:05}", "w", cost, tenant)
            self.line.join(place, WEIGHTS[priority])
        return place

    def turn(self):
        place = self.line.first()
        self.now_us += 1000
        self.line.serve(place, self.now_us)
        self.served.append(place)
        return place

    def turns(self, count):
        return [self.turn() for _ in range(count)]

    def drain(self):
        return self.turns(len(self.line))


def count(places, member):
    return Counter(getattr(place, member) for place in places)


def test_who_is_alone_is_served_in_order():
    queue = Queue()
    queue.join(times=5)
    assert [place.settle_key for place in queue.drain()] == [f"k{n:05}" for n in range(1, 6)]
    assert queue.line.first() is None
    assert queue.line.is_over


def test_classes_have_turns_by_weight():
    queue = Queue()
    for priority in WEIGHTS:
        queue.join(priority, times=200)
    assert count(queue.turns(120), "priority") == {"interactive": 80, "normal": 30, "batch": 10}


def test_tenants_of_a_class_have_turns_by_what_they_ask_for():
    queue = Queue()
    queue.join(tenant="small", cost=10, times=100)
    queue.join(tenant="large", cost=40, times=100)
    found = count(queue.turns(50), "tenant")
    assert found["small"] * 10 == pytest.approx(found["large"] * 40, abs=40)


def test_a_tenant_with_many_requests_does_not_delay_another():
    queue = Queue()
    queue.join(tenant="many", times=500)
    queue.turns(100)
    queue.join(tenant="one")
    assert "one" in [place.tenant for place in queue.turns(2)]


def test_nobody_saves_up_by_staying_away():
    queue = Queue()
    queue.join("batch", times=100)
    queue.turns(50)
    queue.join("interactive", times=100)
    assert count(queue.turns(18), "priority") == {"interactive": 16, "batch": 2}


def test_a_request_that_asks_for_much_waits_its_turn_and_gets_it():
    queue = Queue()
    queue.join("batch", cost=1000)
    queue.join("interactive", cost=10, times=1000)
    assert count(queue.turns(801), "priority") == {"interactive": 800, "batch": 1}


def test_who_leaves_costs_its_tenant_nothing():
    queue = Queue()
    queue.join(tenant="a", times=3)
    gone = queue.join(tenant="a", cost=50)
    queue.line.leave(gone)
    queue.line.leave(gone)
    queue.join(tenant="a")
    queue.join(tenant="b", times=4)
    assert [place.tenant for place in queue.drain()] == ["a", "b"] * 4


def test_who_steps_aside_comes_back_to_the_old_place():
    queue = Queue()
    queue.join(times=3)
    first = queue.line.first()
    queue.line.step_aside(first)
    assert not queue.line.has(first)
    assert queue.turn() != first
    queue.join(times=3)
    queue.line.join(first, 1)
    assert queue.line.first() == first
    queue.line.step_aside(first)
    queue.drain()
    assert not queue.line.is_over, "it may come back"
    queue.line.leave(first)
    assert queue.line.is_over


def test_who_comes_back_to_a_line_that_began_anew_stands_no_worse_than_a_newcomer():
    queue = Queue()
    queue.join(times=10)
    aside = queue.join()
    queue.line.step_aside(aside)
    queue.drain()
    queue.join(times=5)
    queue.line.join(aside, 1)
    queue.join(times=5)
    assert queue.turns(6)[-1] == aside


def test_joining_twice_is_joining_once_and_a_new_weight_counts():
    queue = Queue()
    place = queue.join("batch")
    queue.line.join(place, 4)
    assert len(queue.line) == 1
    queue.join("batch", times=99)
    queue.join("normal", times=100)
    queue.line.join(place, 3)
    assert count(queue.turns(40), "priority") == {"batch": 20, "normal": 20}


def test_a_place_is_known_by_a_name_that_can_be_read():
    place = Place("slots:a b", "batch", "k1", "w1", 7, "a tenant with spaces")
    assert read_name("slots:a b", "batch", name_of(place)) == place


# ---- how long it takes


def test_ahead_are_those_of_its_class_and_what_the_others_get_meanwhile():
    queue = Queue()
    queue.join("batch", tenant="a", cost=2, times=2)
    queue.join("interactive", tenant="b", cost=5, times=30)
    newcomer = Place("slots:", "batch", "new", "w", 2, "a")
    assert queue.line.ahead(newcomer, 1) == Ahead(2 + 24, 4 + 24 * 5)
    assert queue.line.ahead(queue.line.first(), 8) == Ahead(0, 0)
    other = Place("slots:", "normal", "new", "w", 1, "c")
    assert queue.line.ahead(other, 3) == Ahead(2, 2 * 5)


def test_a_class_learns_how_often_it_gets_a_turn():
    queue = Queue()
    queue.join("batch", times=40)
    queue.join("interactive", times=400)
    last = Place("slots:", "batch", "new", "w", 1, "acme")
    assert queue.line.ahead(last, 1).learned_us == 0
    while count(queue.served, "priority")["batch"] < 12:
        queue.turn()
    ahead = queue.line.ahead(last, 1)
    assert ahead.learned_us == pytest.approx(29 * 9_000, rel=0.01), "one turn of nine"


SLOTS = Semaphore(SemaphoreRule(2), ((10**9, "a"), (10**9, "b")), usual_us=1000, learned_us=1)
UNKNOWN = Semaphore(SemaphoreRule(2), ((10**9, "a"), (10**9, "b")))
BUCKET = Bucket(BucketRule(100, make_rate(100, 1)), 100, 0, 0)


@pytest.mark.parametrize(
    ("state", "amount", "ahead", "expected_us"),
    [
        (SLOTS, 1, NOBODY, 500),
        (SLOTS, 1, Ahead(3, 3), 2000),
        (SLOTS, 1, Ahead(3, 3, learned_us=9000), 9000),
        (SLOTS, 1, Ahead(0, 0, learned_us=9000), 500),
        (UNKNOWN, 1, Ahead(3, 3), 1),
        (BUCKET, 50, NOBODY, 500_000),
        (BUCKET, 50, Ahead(2, 150), 2_000_000),
        (BUCKET, 101, Ahead(2, 150), NEVER),
    ],
)
def test_expecting(state, amount, ahead, expected_us):
    assert expect_us(state, amount, ahead, 0) == expected_us


# ---- nobody starves, whatever comes

ARRIVALS = st.lists(
    st.tuples(st.sampled_from(sorted(WEIGHTS)), st.integers(0, 5), st.integers(0, 3)),
    min_size=1,
    max_size=150,
)
"""Class, tenant, and how many turns there are before the next one comes."""


def run(arrivals):
    """What waited at each turn, and who had it."""
    queue, told = Queue(), []
    for priority, tenant, turns in arrivals:
        queue.join(priority, f"t{tenant}")
        for _ in range(min(turns, len(queue.line))):
            waiting = set(queue.line._places.values())
            told.append((waiting, queue.turn()))
    while len(queue.line):
        waiting = set(queue.line._places.values())
        told.append((waiting, queue.turn()))
    assert len(told) == len(arrivals), "everybody had a turn"
    return told


def gaps(told, chosen):
    """The turns of others between two of `chosen`, as long as one of those waits all the time."""
    at = [index for index, (_, place) in enumerate(told) if chosen(place)]
    for begin, end in pairwise(at):
        between = told[begin + 1 : end + 1]
        if all(any(map(chosen, waiting)) for waiting, _ in between):
            yield [place for _, place in between[:-1]]


@settings(max_examples=100, deadline=None)
@given(arrivals=ARRIVALS)
def test_between_two_turns_of_a_class_others_have_no_more_than_their_weight(arrivals):
    told = run(arrivals)
    for priority, weight in WEIGHTS.items():
        for others in gaps(told, lambda place, of=priority: place.priority == of):
            for other, turns in count(others, "priority").items():
                assert turns <= WEIGHTS[other] / weight + 1


@settings(max_examples=100, deadline=None)
@given(arrivals=ARRIVALS)
def test_between_two_turns_of_a_tenant_others_of_its_class_have_two_at_most(arrivals):
    told = [(w, p) for w, p in run(arrivals) if p.priority == "batch"]
    told = [({place for place in w if place.priority == "batch"}, p) for w, p in told]
    for tenant in range(6):
        for others in gaps(told, lambda place, of=f"t{tenant}": place.tenant == of):
            assert all(turns <= 2 for turns in count(others, "tenant").values())


@settings(max_examples=50, deadline=None)
@given(
    before=st.integers(1, 8),
    cost=st.integers(1, 9),
    costs=st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_no_stream_of_newcomers_holds_anybody_up(before, cost, costs):
    """At every turn one comes of every other tenant, in the heaviest class and in its own: far more
    than can be served."""
    tenants = 4
    queue = Queue()
    queue.join("batch", "poor", times=before)
    mine = queue.join("batch", "poor", cost=cost)
    for number in range(4000):
        for tenant in range(tenants):
            for priority in ("interactive", "batch"):
                queue.join(priority, f"rich-{tenant}", cost=costs[number % len(costs)])
        if queue.turn() == mine:
            break
    assert queue.served[-1] == mine
    overtaken_by = Counter((place.priority, place.tenant) for place in queue.served)
    # Each tenant may have had as much as its own, and one more, which may be large.
    for tenant in range(tenants):
        assert overtaken_by["batch", f"rich-{tenant}"] <= before + cost + 1
    of_class = sum(p.cost for p in queue.served if p.priority == "batch")
    of_other = sum(p.cost for p in queue.served if p.priority == "interactive")
    assert of_other <= 8 * of_class + 9
