"""Endpoints that have just failed an attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.watch.messages import Look
from extproc.routing.candidate import Candidate
from extproc.routing.suspects import SUSPECT_S, Suspects

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
ALL = [Candidate(each) for each in (A, B, C)]


def keep(suspects, now_s=1.0):
    return [each.endpoint for each in suspects.keep(ALL, now_s)]


def test_without_suspects_nothing_is_made_anew():
    suspects = Suspects()
    assert suspects.keep(ALL, 1.0) is ALL
    suspects.failed(A, 1.0)
    suspects.expire(1.0 + SUSPECT_S)
    assert suspects.keep(ALL, 3.0) is ALL


def test_one_that_failed_is_passed_over_for_a_while():
    suspects = Suspects()
    suspects.failed(A, 1.0)
    assert keep(suspects) == [B, C]
    assert suspects.of(1.0) == {A}
    assert suspects.of(1.0 + SUSPECT_S) == frozenset()
    assert keep(suspects, 0.9 + SUSPECT_S) == [B, C]
    assert keep(suspects, 1.0 + SUSPECT_S) == [A, B, C]


@pytest.mark.parametrize(
    ("at_s", "fault", "trusted"),
    [
        (1.1, "", True),
        (1.1, "unreadable", True),  # it lives, and tells no load
        (0.9, "", False),  # it was seen before it failed
        (1.1, "timeout", False),
        (1.1, "refused", False),
        (1.1, "status", False),
    ],
)
def test_a_good_look_that_began_since_ends_it(at_s, fault, trusted):
    """At five looks a second a single failure costs an endpoint 0.2 s, not its share of two seconds."""
    suspects = Suspects()
    suspects.failed(A, 1.0)
    suspects.look(Look(A, at_s, fault))
    suspects.look(Look(B, 1.1))
    assert (A in keep(suspects, 1.2)) == trusted


def test_it_may_fail_again():
    suspects = Suspects()
    suspects.failed(A, 1.0)
    suspects.look(Look(A, 1.1))
    suspects.failed(A, 1.2)
    assert keep(suspects, 1.3) == [B, C]


def test_one_that_is_gone_is_not_judged_when_it_comes_back():
    suspects = Suspects()
    suspects.failed(A, 1.0)
    suspects.failed(B, 1.0)
    suspects.keep_only([B, C])
    assert keep(suspects) == [A, C]


STEPS = st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["", "refused", "failed"]))


@given(st.lists(STEPS, max_size=30))
def test_doubt_never_empties_a_pool(steps):
    suspects, last = Suspects(), {}
    for at_s, (endpoint, what) in enumerate(steps):
        if what == "failed":
            suspects.failed(endpoint, at_s)
            last[endpoint] = at_s
        else:
            suspects.look(Look(endpoint, at_s, what))
            if not what:
                last.pop(endpoint, None)
    now_s = float(len(steps))
    trusted = [e for e in (A, B, C) if e not in last or last[e] <= now_s - SUSPECT_S]
    assert keep(suspects, now_s) == (trusted or [A, B, C])
