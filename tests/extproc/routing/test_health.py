"""The watchdog: events in, who stays in out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.load import Load
from engines.watch.messages import Ended, Look, Member
from extproc.routing.breaker import BreakerRules
from extproc.routing.candidate import Candidate
from extproc.routing.condition import HealthRules
from extproc.routing.health import Change, Watchdog

NAMES = tuple(f"10.0.0.{n}:8000" for n in range(1, 5))
FOUR = [Candidate(name) for name in NAMES]
RULES = {"p": HealthRules(BreakerRules(least=2))}


def watchdog(rules=RULES, names=NAMES):
    made = Watchdog(rules)
    made.members({"p": tuple(Member(name) for name in names)}, 0.0)
    return made


def end(endpoint="", status=200, at_s=1.0, failed=(), model="m", latency_s=0.0):
    return Ended("k", "p", endpoint, at_s, status, latency_s, failed, model)


def out(made, now_s, model="m"):
    """Numbers of those that are out."""
    kept = {each.endpoint for each in made.keep("p", FOUR, now_s, model)}
    return "".join(str(n) for n, name in enumerate(NAMES, 1) if name not in kept)


def test_while_nothing_is_wrong_it_is_what_was_given():
    made = watchdog()
    made.ended(end(NAMES[0]), 1.0)
    made.look("p", Look(NAMES[0], 1.0), 1.0)
    assert made.keep("p", FOUR, 1.0) is FOUR
    assert made.keep("elsewhere", FOUR, 1.0) is FOUR
    assert made.changes() == ()
    assert made.warmth("elsewhere", "e", 1.0) == 1.0
    assert made.admits("elsewhere", "e", 1.0)
    assert made.states("elsewhere", 1.0) == {}


@pytest.mark.parametrize(
    ("ends", "who"),
    [
        ([end(NAMES[0], 500)] * 2, "1"),
        ([end(NAMES[0], 503)] * 2, "1"),
        ([end(NAMES[0], 504)] * 2, "1"),
        ([end(NAMES[0], 429)] * 9, ""),
        ([end(NAMES[0], 400)] * 9, ""),
        ([end(NAMES[0], 0)] * 9, ""),
        ([end(NAMES[1], 200, failed=NAMES[:1])] * 2, "1"),
        ([end(NAMES[0], 200, failed=NAMES[:1])] * 2, "1"),
        ([end("", 503, failed=NAMES[:2])] * 2, "12"),
        ([end(NAMES[0], 500), *[end(NAMES[0])] * 2], ""),
        ([end(name, 500) for name in NAMES] * 2, "12"),
    ],
)
def test_what_is_an_error_of_an_endpoint(ends, who):
    made = watchdog()
    for each in ends:
        made.ended(each, 1.0)
    assert out(made, 1.0) == who


def test_a_story():
    made, first = watchdog(), NAMES[0]
    for _ in range(2):
        made.ended(end(first, 500), 1.0)
    assert not made.admits("p", first, 1.0, "m")
    assert made.states("p", 1.0)[first] == ("open", ("errors:m",))
    assert out(made, 5.9) == "1"
    assert out(made, 6.0) == ""
    for _ in range(3):
        made.picked("p", first, 6.0)
    assert out(made, 6.0) == "1"
    assert out(made, 11.0) == ""
    assert made.warmth("p", first, 11.0) == 0.1
    made.ended(end(first, 200, at_s=12.0), 12.0)
    assert out(made, 12.0) == ""
    assert made.admits("p", first, 12.0)
    failing = ("errors:m",)
    assert [(c.was, c.now, c.before, c.reasons, c.at_s) for c in made.changes()] == [
        ("ready", "open", (), failing, 1.0),
        ("open", "half_open", failing, failing, 6.0),
        ("half_open", "ready", failing, (), 12.0),
    ]
    assert made.changes() == ()


def test_looks_and_members():
    made = watchdog()
    made.look("p", Look(NAMES[0], 1.0, "refused"), 1.0)
    assert out(made, 1.0) == "1"
    made.members({"p": [Member(NAMES[0]), Member(NAMES[1], "draining"), Member(NAMES[2])]}, 2.0)
    assert out(made, 2.0) == "12"
    assert set(made.states("p", 2.0)) == set(NAMES[:3])
    made.look("p", Look(NAMES[0], 3.0), 3.0)
    assert out(made, 3.0) == "2"
    assert Change("p", NAMES[1], "ready", "draining", (), ("draining",), 2.0) in made.changes()
    made.members({}, 4.0)
    assert out(made, 4.0) == ""


def test_all_refuse():
    made = watchdog()
    for name in NAMES:
        made.look("p", Look(name, 1.0, "refused"), 1.0)
    assert made.keep("p", FOUR, 1.0) == []


def test_a_model_of_its_own():
    made = watchdog()
    for name in NAMES:
        made.ended(end(name, 200, model="good"), 1.0)
    for _ in range(2):
        made.ended(end(NAMES[2], 500, model="bad"), 1.0)
    assert out(made, 1.0, "bad") == "3"
    assert out(made, 1.0, "good") == ""
    assert out(made, 1.0, "") == ""


def test_a_model_that_fails_its_try_is_out_again_at_once():
    made, third = watchdog(), NAMES[2]
    for model, status in (("good", 200), ("bad", 500), ("bad", 500)):
        made.ended(end(third, status, model=model), 1.0)
    assert (out(made, 1.0, "bad"), out(made, 6.0, "bad")) == ("3", "")
    made.ended(end(third, 500, at_s=6.5, model="bad"), 6.5)
    assert (out(made, 6.5, "bad"), out(made, 6.5, "good")) == ("3", "")
    assert (out(made, 16.4, "bad"), out(made, 16.5, "bad")) == ("3", "")


def test_who_is_no_member_is_not_remembered():
    made = watchdog()
    made.ended(end("10.9.9.9:1", 500, failed=("10.9.9.8:1",)), 1.0)
    made.look("p", Look("10.9.9.7:1", 1.0, "refused"), 1.0)
    assert set(made.states("p", 1.0)) == set(NAMES)


def test_nobody_is_a_member_of_a_pool_that_has_none():
    made = watchdog()
    made.members({"p": ()}, 1.0)
    made.ended(end(NAMES[0], failed=(NAMES[1],)), 2.0)
    assert made.states("p", 2.0) == {}


def test_other_rules_begin_anew_only_where_they_differ():
    made = watchdog()
    made.look("p", Look(NAMES[0], 1.0, "refused"), 1.0)
    made.govern(dict(RULES), 2.0)
    assert out(made, 2.0) == "1"
    made.govern({"p": HealthRules(most_out=0.25)}, 2.0)
    assert out(made, 2.0) == ""
    assert set(made.states("p", 2.0)) == set(NAMES)
    for name in NAMES[:2]:
        for _ in range(9):
            made.ended(end(name, 500), 3.0)
    assert out(made, 3.0) == "1"


def test_an_answer_is_kept_until_something_changes():
    made = watchdog()
    made.look("p", Look(NAMES[0], 1.0, "refused"), 1.0)
    once = made.keep("p", FOUR, 1.0)
    assert made.keep("p", FOUR, 2.0) is once
    assert made.keep("p", FOUR[:3], 2.0) is not once
    made.look("p", Look(NAMES[1], 2.0, "refused"), 2.0)
    assert out(made, 2.0) == "12"


ENDPOINTS = st.sampled_from(NAMES)
EVENTS = st.lists(
    st.tuples(
        st.floats(0, 8),
        st.one_of(
            st.tuples(st.just("ended"), ENDPOINTS, st.sampled_from((0, 200, 400, 500, 503)),
                      st.lists(ENDPOINTS, max_size=2, unique=True), st.sampled_from("ab")),
            st.tuples(st.just("look"), ENDPOINTS,
                      st.sampled_from(("", "", "refused", "timeout", "status")),
                      st.floats(0, 1), st.integers(0, 3000), st.floats(0, 20)),
            st.tuples(st.just("picked"), ENDPOINTS),
            st.tuples(st.just("members"), st.lists(st.booleans(), min_size=4, max_size=4)),
        ),
    ),
    max_size=60,
)  # fmt: skip


def happen(made, event, now):
    match event:
        case ("ended", endpoint, status, failed, model):
            made.ended(end(endpoint, status, now, tuple(failed), model), now)
        case ("look", endpoint, fault, kv, waiting, age):
            load = Load(kv_usage=kv, waiting=waiting)
            made.look("p", Look(endpoint, now - age, fault, load), now)
        case ("picked", endpoint):
            made.picked("p", endpoint, now)
        case ("members", leaving):
            pairs = zip(NAMES, leaving, strict=True)
            made.members({"p": [Member(n, "draining" if d else "ready") for n, d in pairs]}, now)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sampled_from((0.0, 0.3, 0.5, 0.9)), st.sampled_from(("", "a", "b")))
def test_under_any_events_a_share_of_the_pool_stays(events, most_out, model):
    """Never all that could answer; never more than the share, but for those that refuse or leave; and
    the kept answer is the one that would be worked out anew."""
    rules = {"p": HealthRules(BreakerRules(least=1), most_out=most_out)}
    made, twin, now = watchdog(rules), watchdog(rules), 100.0
    for pause, event in events:
        now += pause
        happen(made, event, now)
        happen(twin, event, now)
        kept = made.keep("p", FOUR, now, model)
        assert [c.endpoint for c in kept] == [
            c.endpoint for c in twin.keep("p", list(FOUR), now, model)
        ]
        states = made.states("p", now)
        leaving = {n for n, (state, _) in states.items() if state == "draining"}
        refusing = {n for n, (_, why) in states.items() if "refused" in why} - leaving
        answering = set(NAMES) - leaving - refusing
        assert {each.endpoint for each in kept} <= answering
        assert bool(kept) == bool(answering)
        members = len(NAMES) - len(leaving)
        assert members - len(kept) <= max(most_out * members + 1e-6, len(refusing))
        assert all(0.1 <= made.warmth("p", name, now) <= 1.0 for name in NAMES)
