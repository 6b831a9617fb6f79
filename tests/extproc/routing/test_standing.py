"""Which endpoints answer, as far as looks and failed attempts tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.watch.messages import Look
from extproc.routing.candidate import Candidate
from extproc.routing.standing import FAILURES, SUSPECT_S, Standing

A, B, C, D = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"


def keep(standing, *endpoints, now_s=0.0):
    return [each.endpoint for each in standing.keep([Candidate(e) for e in endpoints], now_s)]


def looked(standing, endpoint, *faults):
    return [standing.look(Look(endpoint, 1.0, fault)) for fault in faults]


def test_an_endpoint_nobody_looked_at_is_well():
    standing = Standing()
    assert keep(standing, B, A) == [B, A]
    assert keep(standing) == []
    assert standing.is_well(A)
    assert not standing.doubts([A])


def test_a_suspect_is_passed_over_for_a_while():
    standing = Standing()
    standing.suspect(A, 1.0)
    assert standing.doubts([A, B])
    assert not standing.doubts([B])
    assert keep(standing, A, B, C, now_s=1.0) == [B, C]
    assert keep(standing, A, B, C, now_s=1.0 + SUSPECT_S) == [A, B, C]
    standing.expire(1.0 + SUSPECT_S)
    assert not standing.doubts([A])


def test_when_all_are_suspect_all_are_named():
    standing = Standing()
    standing.suspect(A, 1.0)
    standing.suspect(B, 1.0)
    assert keep(standing, A, B, now_s=1.0) == [A, B]


@pytest.mark.parametrize("fault", ["timeout", "broken", "status"])
def test_one_look_that_fails_makes_nobody_sick_and_two_in_a_row_do(fault):
    """A long prompt may delay an engine's answer by a second."""
    standing = Standing()
    assert looked(standing, A, fault, "", fault) == [False] * 3
    assert keep(standing, A, B) == [A, B]
    assert FAILURES == 2
    assert looked(standing, A, fault) == [True]
    assert (keep(standing, A, B), standing.is_well(A)) == ([B], False)
    assert looked(standing, A, fault) == [False], "told once"
    assert looked(standing, A, "") == [True]
    assert keep(standing, A, B) == [A, B]


def test_one_refused_connection_is_enough():
    standing = Standing()
    assert looked(standing, A, "refused") == [True]
    assert keep(standing, A, B) == [B]


def test_one_that_tells_no_load_is_well():
    standing = Standing()
    assert looked(standing, A, *["unreadable"] * 5) == [False] * 5
    assert standing.is_well(A)


def test_doubt_never_empties_a_pool_but_one_that_refuses_is_never_named():
    standing = Standing()
    looked(standing, A, "refused")
    looked(standing, B, "timeout", "timeout")
    standing.suspect(C, 0.0)
    assert keep(standing, A, B, C, D) == [D]
    assert keep(standing, A, B, C) == [C], "a suspect is better than one that is silent"
    assert keep(standing, A, B) == [B]
    assert keep(standing, A) == []


def test_one_that_refused_and_now_hangs_may_be_named_when_nothing_is_left():
    """It has begun to listen: starting, perhaps, and a try is better than a refusal."""
    standing = Standing()
    assert looked(standing, A, "refused", "timeout") == [True, True]
    assert keep(standing, A) == [A]
    assert keep(standing, A, B) == [B], "it is sick still"


def test_one_that_is_gone_is_not_judged_when_it_comes_back():
    standing = Standing()
    looked(standing, A, "refused")
    looked(standing, B, "timeout", "timeout")
    standing.keep_only([C])
    assert keep(standing, A, B, C) == [A, B, C]


STEPS = st.tuples(
    st.sampled_from([A, B, C]), st.sampled_from(["", "refused", "timeout", "suspect"])
)


@given(st.lists(STEPS, max_size=30))
def test_a_pool_is_empty_only_when_all_refuse(steps):
    standing, last = Standing(), {}
    for endpoint, what in steps:
        if what == "suspect":
            standing.suspect(endpoint, 0.0)
        else:
            standing.look(Look(endpoint, 1.0, what))
            last[endpoint] = what
    found = keep(standing, A, B, C)
    refusing = {each for each in last if last[each] == "refused"}
    assert not refusing & set(found)
    assert bool(found) == (refusing != {A, B, C})
