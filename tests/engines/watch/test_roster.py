"""Who belongs to which pool."""

import pytest

from engines.watch.messages import Member
from engines.watch.roster import Roster

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
STATIC, DNS = ("p", "both"), ("p", "dns 0")


@pytest.fixture
def roster():
    return Roster(["p", "q"])


def named(roster, pool="p"):
    return {m.endpoint: (m.state, m.since_s) for m in roster.members().pools[pool]}


def test_those_of_the_first_answer_were_there_before(roster):
    assert roster.hear(STATIC, {A: "ready"}, "both", 5.0)
    assert roster.hear(DNS, {B: "ready"}, "both", 6.0)
    assert named(roster) == {A: ("ready", 0.0), B: ("ready", 0.0)}
    assert roster.members().pools["q"] == ()


def test_what_is_named_later_is_new_and_what_is_no_longer_named_is_gone(roster):
    roster.hear(DNS, {A: "ready"}, "both", 5.0)
    assert not roster.hear(DNS, {A: "ready"}, "both", 6.0), "nothing has changed"
    assert roster.hear(DNS, {A: "draining", B: "ready"}, "both", 7.0)
    assert named(roster) == {A: ("draining", 0.0), B: ("ready", 7.0)}
    roster.hear(DNS, {B: "ready"}, "both", 8.0)
    roster.hear(DNS, {B: "ready", A: "ready"}, "both", 9.0)
    assert named(roster) == {B: ("ready", 7.0), A: ("ready", 9.0)}, "back, and cold"


def test_ready_for_one_source_is_ready(roster):
    roster.hear(STATIC, {A: "draining"}, "both", 1.0)
    roster.hear(DNS, {A: "ready"}, "both", 1.0)
    roster.hear(("p", "dns 1"), {A: "draining"}, "both", 1.0)
    assert named(roster) == {A: ("ready", 0.0)}


def test_roles_are_those_of_their_source(roster):
    roster.hear(("p", "prefill"), {A: "ready"}, "prefill", 1.0)
    roster.hear(("p", "decode"), {B: "ready"}, "decode", 1.0)
    assert roster.members().pools["p"] == (
        Member(A, role="prefill"),
        Member(B, role="decode"),
    )
    assert roster.hear(("p", "decode"), {B: "ready"}, "both", 2.0)
    assert roster.members().pools["p"][1] == Member(B)


def test_sources_and_pools_that_are_not_asked_any_more_are_forgotten(roster):
    roster.hear(STATIC, {A: "ready"}, "both", 1.0)
    roster.hear(("q", "both"), {C: "ready"}, "both", 1.0)
    roster.keep(["q"], [("q", "both")])
    assert roster.members().pools == {"q": (Member(C),)}
    roster.keep(["p", "q"], [STATIC])
    assert roster.members().pools == {"p": (), "q": ()}
