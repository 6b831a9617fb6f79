"""Who may be picked in which pool: the policy's word, what was found, and what stays when either changes."""

import pytest

from engines.watch.messages import Member, Members, Stored
from extproc.routing.pools import LEAVE_S, Pools

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


class World:
    """Pool `p` names A and B itself; of `found` others name the endpoints."""

    def __init__(self):
        self.now_s, self.pools = 100.0, Pools()
        self.track()

    def track(self, *endpoints, **more):
        return self.follow(
            {"p": ([Member(each) for each in endpoints or (A, B)], False), "found": ((), True), **more}
        )  # fmt: skip

    def follow(self, policy):
        return set(self.pools.track(policy, self.now_s))

    def hear(self, **found):
        return set(self.pools.hear(Members({name: tuple(each) for name, each in found.items()})))

    def ready(self, pool="p"):
        return [each.endpoint for each in self.pools.current[pool].ready]

    def candidate(self, endpoint=A, pool="p"):
        return self.pools.current[pool].candidates[endpoint]

    def matched(self, *blocks):
        return self.pools.current["p"].prefixes.matched(blocks)


@pytest.fixture
def world():
    return World()


def test_whom_a_policy_names_may_be_picked_before_anybody_has_looked(world):
    assert (world.ready(), world.ready("found")) == ([A, B], [])
    assert world.pools.known == {A, B}
    assert world.pools.by_endpoint == {
        A: [("p", world.candidate())],
        B: [("p", world.candidate(B))],
    }


def test_those_that_others_name(world):
    assert world.hear(p=[], found=[Member(C), Member(A, "draining")]) == set()
    assert world.ready() == [A, B], "the policy's word counts where it names endpoints itself"
    assert world.ready("found") == [C]
    assert world.hear(found=[Member(B, role="prefill")]) == {C}
    assert world.ready("found") == [B]
    assert (world.candidate(B, "found").role, world.candidate(B).role) == ("prefill", "both")
    world.hear(found=[])
    assert world.ready("found") == []


def test_one_that_drains_is_known_and_not_ready(world):
    world.hear(found=[Member(C, "draining")])
    assert C in world.pools.known
    assert C not in world.pools.by_endpoint
    assert world.pools.members["found"] == [Member(C, "draining")]


def test_of_a_static_one_others_say_only_since_when_it_is_there(world):
    world.hear(p=[Member(A, "draining", since_s=7.0)])
    assert world.pools.members["p"] == [Member(A, since_s=7.0), Member(B)]


def test_until_others_have_spoken_a_pool_that_they_fill_has_whom_the_policy_names(world):
    world.track(found=([Member(C)], True))
    assert world.ready("found") == [C]
    world.hear(found=[Member(A)])
    assert world.ready("found") == [A]


def test_a_candidate_stays_the_same_object_whatever_policies_come(world):
    candidate, ready = world.candidate(), world.pools.current["p"].ready
    world.track(A)
    assert world.candidate() is candidate
    assert world.ready() == [A]
    assert len(ready) == 2, "a list once given does not change"


def test_an_endpoint_in_two_pools_has_a_candidate_in_each(world):
    world.track(q=([Member(A)], False))
    assert [name for name, _ in world.pools.by_endpoint[A]] == ["p", "q"]
    assert world.candidate(A, "q") is not world.candidate(A)


def test_who_left_is_told_and_its_cache_forgotten(world):
    world.pools.store(Stored("p", A, (1,)))
    world.pools.store(Stored("p", B, (1,)))
    assert world.track(B) == {A}
    assert world.matched(1) == {B: 1}


def test_a_pool_that_is_gone_stays_as_it_was_for_a_while(world):
    assert world.follow({"q": ([Member(C)], False)}) == {A, B}
    assert world.pools.known == {C}
    world.pools.expire(world.now_s + LEAVE_S - 0.1)
    assert [each.endpoint for each in world.pools.gone["p"].ready] == [A, B]
    world.pools.expire(world.now_s + LEAVE_S)
    assert world.pools.gone == {}


def test_a_pool_that_comes_back_at_once_was_never_gone(world):
    pool = world.pools.current["p"]
    world.follow({})
    assert world.pools.gone["p"] is pool
    world.track()
    assert world.pools.current["p"] is pool
    assert (world.pools.gone, world.ready()) == ({}, [A, B])


def test_what_caches_gain_and_lose(world):
    world.pools.store(Stored("p", A, (7, 8)))
    assert world.matched(7, 8) == {A: 2}
    world.pools.store(Stored("p", A, removed=(8,)))
    assert world.matched(7, 8) == {A: 1}
    world.pools.store(Stored("p", A, (9,), cleared=True))
    assert (world.matched(7, 8), world.matched(9)) == ({}, {A: 1})
    world.pools.store(Stored("p", "stranger:1", (9,)))
    world.pools.store(Stored("nowhere", A, (9,)))
    assert world.matched(9) == {A: 1}


def test_one_that_drains_before_it_leaves_is_forgotten_as_well(world):
    for number in range(1, 10):
        pod = f"10.0.1.{number}:1"
        world.hear(found=[Member(pod)])
        prefixes = world.pools.current["found"].prefixes
        prefixes.note(pod, [number])
        world.hear(found=[Member(pod, "draining")])
        assert prefixes.matched([number]) == {pod: 1}, "it may come back"
        world.hear(found=[])
        assert prefixes.matched([number]) == {}
    prefixes.note("10.0.1.1:1", [1])  # another worker's pick, told late
    world.hear(found=[Member("10.0.1.1:1")])
    world.hear(found=[])
    assert len(prefixes) == 0, "nothing is kept of pods that are gone"


def test_a_pod_that_gets_the_address_of_another_has_nothing_of_its_cache(world):
    prefixes = world.pools.current["found"].prefixes
    for state in ("ready", "draining"):
        world.hear(found=[Member(C, state)])
        prefixes.note(C, [1])
    world.hear(found=[])
    world.hear(found=[Member(C)])
    assert prefixes.matched([1]) == {}


def test_what_a_cache_gains_and_loses_while_its_engine_drains(world):
    prefixes = world.pools.current["found"].prefixes
    world.hear(found=[Member(C)])
    world.pools.store(Stored("found", C, (1, 2)))
    world.hear(found=[Member(C, "draining")])
    world.pools.store(Stored("found", C, (3,), removed=(2,)))
    world.hear(found=[Member(C)])
    held = {block: prefixes.matched([block]) for block in (1, 2, 3)}
    assert held == {1: {C: 1}, 2: {}, 3: {C: 1}}


def test_caches_that_are_told_of_before_the_policy_has_their_pool(world):
    world.hear(new=[Member(C)])
    world.pools.store(Stored("new", C, (7,), cleared=True))
    world.pools.store(Stored("new", A, (7,)))
    world.track(new=((), True))
    prefixes = world.pools.current["new"].prefixes
    assert prefixes.matched([7]) == {C: 1}, "the watch process does not tell it again"
    assert prefixes.is_precise(C)


def test_what_was_told_of_a_pool_that_never_came_is_forgotten(world):
    world.hear(new=[Member(C)])
    world.pools.store(Stored("new", C, (7,)))
    world.hear(found=[])
    world.hear(new=[Member(C)])
    world.track(new=((), True))
    assert world.pools.current["new"].prefixes.matched([7]) == {}


def test_a_pool_that_is_gone_for_a_moment_hears_of_its_caches(world):
    world.follow({})
    world.pools.store(Stored("p", A, (7,)))
    world.track()
    assert world.matched(7) == {A: 1}
