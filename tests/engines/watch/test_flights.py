"""Counting what is under way: any order of what several workers say gives what a simple model says."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from engines.watch.flights import LEASE_S, OVERTAKEN_S, Flights
from engines.watch.messages import Picked

A, B = "10.0.0.1:1", "10.0.0.2:1"


def pick(key, endpoint=A, at_s=1.0, prompt=100, cached=40):
    return Picked(key, "p", endpoint, at_s, prompt, cached)


def sums(flights, endpoint=A):
    t = flights.tally(endpoint)
    return t.in_flight, t.in_flight_tokens, len(t.unseen), t.unseen_tokens


def test_from_pick_to_end():
    flights = Flights()
    assert flights.pick(pick("a"), 1.0)
    assert not flights.pick(pick("a"), 1.0), "told twice"
    flights.pick(pick("b", cached=500), 1.0)
    assert sums(flights) == (2, 60, 2, 60)
    assert [picked.key for picked in flights] == ["a", "b"]
    assert flights.end("a", 2.0) == A
    assert sums(flights) == (1, 0, 1, 0)
    assert flights.end("a", 2.0) == ""
    assert len(flights) == 1


def test_a_look_shows_what_was_picked_before_it():
    flights = Flights()
    for number in range(4):
        flights.pick(pick(str(number), at_s=float(number)), 4.0)
    flights.look(A, 1.5)
    assert sums(flights) == (4, 240, 2, 120)
    flights.look(A, 0.5)
    assert sums(flights) == (4, 240, 2, 120), "an older look changes nothing"
    flights.pick(pick("late", at_s=1.0), 4.0)
    assert sums(flights) == (5, 300, 2, 120), "told late, but picked before the look"
    flights.look(A, 9.0)
    assert sums(flights) == (5, 300, 0, 0)
    assert sums(flights, B) == (0, 0, 0, 0)


def test_an_end_may_overtake_its_pick():
    flights = Flights()
    assert not flights.has_ended("a")
    flights.end("a", 1.0)
    assert flights.has_ended("a")
    assert not flights.pick(pick("a"), 1.1)
    assert sums(flights) == (0, 0, 0, 0)
    flights.expire(1.0 + OVERTAKEN_S)
    assert not flights.has_ended("a")
    assert flights.pick(pick("a"), 9.0), "remembered for a while, not for ever"


def test_what_nobody_mentions_is_forgotten():
    flights = Flights()
    flights.pick(pick("a"), 0.0)
    flights.pick(pick("b", B), 0.0)
    flights.renew("a", 10.0)
    flights.renew("nobody", 10.0)
    assert flights.expire(LEASE_S) == {B}
    assert (sums(flights), sums(flights, B)) == ((1, 60, 1, 60), (0, 0, 0, 0))
    assert flights.expire(10.0 + LEASE_S) == {A}
    assert not flights.expire(99.0)


def test_an_endpoint_that_is_gone_leaves_no_sums_once_nothing_is_under_way():
    flights = Flights()
    flights.pick(pick("a"), 0.0)
    flights.forget(A)
    assert sums(flights)[0] == 1
    flights.end("a", 0.0)
    flights.look(A, 5.0)
    flights.forget(A)
    flights.forget(B)
    assert flights.tally(A).looked_s == 0.0


@dataclass
class Model:
    """The same, as simply as can be: everything that was said, looked through at each question."""

    picks: dict = field(default_factory=dict)
    until_s: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)
    looked_s: dict = field(default_factory=dict)

    def tell(self, what, key, endpoint, at_s, now_s):
        match what:
            case "pick" if key not in self.picks and key not in self.ended:
                self.picks[key], self.until_s[key] = (endpoint, at_s, 60), now_s + LEASE_S
            case "end":
                self.picks.pop(key, None)
                self.ended[key] = now_s + OVERTAKEN_S
            case "renew" if key in self.picks:
                self.until_s[key] = now_s + LEASE_S
            case "look":
                self.looked_s[endpoint] = max(at_s, self.looked_s.get(endpoint, 0.0))
            case "expire":
                self.picks = {k: v for k, v in self.picks.items() if self.until_s[k] > now_s}
                self.ended = {k: v for k, v in self.ended.items() if v > now_s}

    def sums(self, endpoint):
        mine = [p for p in self.picks.values() if p[0] == endpoint]
        unseen = [p for p in mine if p[1] > self.looked_s.get(endpoint, 0.0)]
        return len(mine), 60 * len(mine), len(unseen), 60 * len(unseen)


STEPS = st.tuples(
    st.sampled_from(["pick", "end", "renew", "look", "expire"]),
    st.sampled_from("abcde"),
    st.sampled_from([A, B]),
    st.floats(0.0, 50.0),
    st.floats(0.0, 20.0),
)


@given(st.lists(STEPS, max_size=60))
def test_any_interleaving_counts_as_the_model_does(steps):
    flights, model, now_s = Flights(), Model(), 0.0
    for what, key, endpoint, at_s, passed_s in steps:
        now_s += passed_s
        match what:
            case "pick":
                flights.pick(pick(key, endpoint, at_s), now_s)
            case "end":
                flights.end(key, now_s)
            case "renew":
                flights.renew(key, now_s)
            case "look":
                flights.look(endpoint, at_s)
            case "expire":
                flights.expire(now_s)
        model.tell(what, key, endpoint, at_s, now_s)
        assert [sums(flights, each) for each in (A, B)] == [model.sums(each) for each in (A, B)]
