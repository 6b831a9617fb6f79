"""Virtual time: what clients, gateways and engines see of one request, and when."""

import pytest

from engines.sim.profile import Profile
from extproc.routing.candidate import Choice
from extproc.routing.prefixes import Prefixes
from study.draws import Length, source
from study.gateway import Gateway, Sight
from study.measure import Window
from study.threads import Closed, Shape, Turns
from study.world import HOP_S, NOTICE_S, World

PROFILE = Profile(name="even", step_s=0.01, token_s=1e-6, blocks=1000)
SHAPE = Shape("even", Length(100, 0.0), Length(50, 0.0), Length(11, 0.0), Turns(3, 3), think_s=0.5)


class Eyes:
    """Takes the endpoints in turn; keeps what it saw of the first one."""

    def __init__(self):
        self.seen = []

    def choose(self, asked, candidates, now_s):
        first = candidates[0]
        self.seen.append((now_s, first.seen_s, first.in_flight, first.load.generation_tokens))
        return Choice((candidates[len(self.seen) % len(candidates)].endpoint,))

    def explain(self, asked, candidates, now_s):
        return []


def go(sight=None, threads=1, endpoints=("a",), end_s=10.0):
    sight, eyes = sight or Sight(), Eyes()
    gateway = Gateway(eyes, Prefixes(), endpoints, sight, source("x"))
    closed = Closed(SHAPE, 1, threads, 1.0)
    world = World(dict.fromkeys(endpoints, PROFILE), [gateway], sight, closed, 10)
    world.run(Window(0.0, end_s, end_s), 1)
    return world, eyes


def test_one_request():
    """A prompt takes one step of 10.1 ms, each further token one of 10.001 ms; two hops."""
    world, _ = go()
    record = next(iter(world.records.values()))
    assert record.first_s - record.asked_s == pytest.approx(2 * HOP_S + 0.0101, abs=1e-5)
    assert record.ended_s - record.first_s == pytest.approx(10 * 0.010001, abs=1e-4)
    assert (record.completion_tokens, record.prompt_tokens, record.cached_tokens) == (11, 100, 0)


def test_the_next_turn_finds_the_last_one_in_the_cache():
    world, _ = go()
    [first, second, third] = list(world.records.values())[:3]
    assert second.prompt_tokens == 100 + 11 + 50
    assert second.cached_tokens == 96  # whole blocks; the answer's end makes no whole one
    assert third.cached_tokens > second.cached_tokens
    assert second.asked_s > first.ended_s


def test_looks_are_as_old_as_they_should_be():
    for sight, oldest_s in ((Sight(), 0.205), (Sight(late_s=1.0), 1.2)):
        _, eyes = go(sight)
        ages = [now_s - seen_s for now_s, seen_s, *_ in eyes.seen if now_s > 3]
        assert sight.late_s <= min(ages)
        assert max(ages) <= oldest_s + 1e-9


def test_a_gateway_is_told_of_ends_a_little_later():
    world, eyes = go(threads=3, endpoints=("a", "b"))
    for now_s, _, in_flight, _ in eyes.seen:
        there = [
            record
            for record in world.records.values()
            if record.endpoint == "a" and record.asked_s < now_s
            and not 0 <= record.ended_s + NOTICE_S <= now_s
        ]  # fmt: skip
        assert in_flight == len(there)


def test_nothing_is_done_twice_or_left_out():
    world, _ = go(threads=5, endpoints=("a", "b", "c"))
    ended = [record for record in world.records.values() if record.ended_s >= 0]
    assert len(ended) > 50
    assert all(record.completion_tokens == 11 for record in ended)
    assert all(record.asked_s < record.first_s < record.ended_s for record in ended)
