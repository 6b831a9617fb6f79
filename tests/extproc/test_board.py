"""The table of endpoints, out of what the watch process tells."""

import pytest

from engines.load import Load
from engines.rates import Rates
from engines.watch.messages import Ended, Look, Looks, Member, Members, Picked, Running, Stored
from extproc.board import Board
from extproc.routing.breaker import BreakerRules
from extproc.routing.condition import HealthRules

RULES = {"p": HealthRules(BreakerRules(least=2))}


def board(*members, now_s=100.0):
    made = Board(RULES)
    made.hear(Members({"p": members or (Member("a:1"), Member("b:1"))}), now_s)
    return made


def look(made, endpoint="a:1", at_s=100.0, fault="", rates=None, **load):
    seen = Look(endpoint, at_s, fault, Load(**load), rates or Rates())
    made.hear(Looks((seen,)), at_s)


def row(made, endpoint="a:1", now_s=100.0):
    return next(each for each in made.rows(now_s) if each.endpoint == endpoint)


def test_before_anybody_has_looked():
    made = Board()
    assert not made.is_whole
    made.hear(Members({}), 1.0)
    assert not made.is_whole
    made = board()
    assert not made.is_whole
    found = row(made)
    assert (found.state, found.running, found.look_age_s, found.in_flight) == (
        "stale", None, None, 0,
    )  # fmt: skip


def test_what_is_heard():
    made = board()
    look(made, running=3, waiting=2, kv_usage=0.5, rates=Rates(8000.0, 0.02))
    assert not made.is_whole
    look(made, "b:1", 100.0, "unreadable")
    assert made.is_whole
    found = row(made, now_s=100.5)
    assert (found.pool, found.state, found.reasons) == ("p", "ready", ())
    assert (found.running, found.waiting, found.kv_usage) == (3, 2, 0.5)
    assert (found.prefill_tokens_per_s, found.itl_s, found.look_age_s) == (8000.0, 0.02, 0.5)
    assert (row(made, "b:1").state, row(made, "b:1").running) == ("ready", None)
    assert row(made, now_s=106.0).state == "stale"


def test_a_failed_look_keeps_the_last_figures():
    made = board()
    look(made, running=3)
    look(made, at_s=101.0, fault="refused")
    found = row(made, now_s=101.0)
    assert (found.state, found.reasons, found.running) == ("open", ("refused",), 3)


def test_in_flight():
    made = board()
    for key in ("k1", "k2"):
        made.hear(Picked(key, "p", "a:1", 100.0, 10, 0), 100.0)
    assert row(made).in_flight == 2
    made.hear(Ended("k1", "p", "a:1", 101.0, 200, 0.5), 101.0)
    made.hear(Running("k2"), 120.0)
    assert row(made, now_s=140.0).in_flight == 1
    assert row(made, now_s=200.0).in_flight == 0
    made.hear(Stored("p", "a:1", (1,)), 200.0)


def test_breakers_are_those_of_the_workers():
    made = board()
    look(made)
    for _ in range(2):
        made.hear(Ended("k", "p", "a:1", 100.0, 500, 0.1, (), "m"), 100.0)
    assert row(made).state == "open"
    assert row(made).reasons == ("errors:m",)
    look(made, at_s=106.0)
    assert row(made, now_s=106.0).state == "half_open"


def test_workers_remember_what_was_before():
    made = board()
    for name in ("a:1", "b:1"):
        look(made, name)
    made.hear_workers([{}, {"p": {"a:1": ("open", ("errors:m",))}}])
    assert (row(made).state, row(made).reasons) == ("open", ("errors:m",))
    assert row(made, "b:1").state == "ready"


def test_draining_and_warm():
    made = board(Member("a:1", "draining"), Member("b:1", since_s=100.0))
    look(made)
    look(made, "b:1")
    assert (row(made).state, row(made).reasons) == ("draining", ("draining",))
    assert row(made, "b:1").warmth == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("looks", "share"),
    [
        ([(0, 0)], None),
        ([(1000, 250)], 0.25),
        ([(1000, 250), (1000, 250)], 0.25),
        ([(1000, 0), (1100, 90)], 0.9),
        ([(1000, 900), (10, 5)], 0.5),
        ([(1000, 900), (0, 0), (100, 10)], 0.1),
    ],
)
def test_cached_share_is_that_of_late(looks, share):
    made = board()
    for n, (prompt, cached) in enumerate(looks):
        look(made, at_s=100.0 + n, prompt_tokens=prompt, cached_tokens=cached)
    assert row(made, now_s=101.0).cached_share == share


def test_one_pool():
    made = Board()
    made.hear(Members({"q": (Member("c:1"),), "p": (Member("a:1"),)}), 1.0)
    assert [each.pool for each in made.rows(1.0)] == ["p", "q"]
    assert [each.endpoint for each in made.rows(1.0, "q")] == ["c:1"]
    assert made.rows(1.0, "elsewhere") == []
