"""The picker is asked, everybody is told, and the end is told, too."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.counting.counted import Counted
from extproc.decision import Deny, Outcome
from extproc.errors import Reason
from extproc.filters.pick import Pick
from extproc.filters.prefix import Prefix
from extproc.policy.picking import PickerPolicy
from extproc.request import Identity, Model, Route
from extproc.routing.candidate import TRIES
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import BARE, bare

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
IN_TURN = PickerPolicy(algorithm="round_robin")


def over(pools, engines=None, policy=IN_TURN, **settings):
    return Pick(dict.fromkeys(pools, policy), engines or MemoryEngines(pools), **settings)


async def choose(pick, pool="p", request=BARE):
    found = await pick.decide(request.having(Model("m", pool, "lora-1")))
    return found if isinstance(found, Deny) else list(found.fact(Route).endpoints)


async def test_each_in_turn_with_the_next_ones_behind():
    pick = over({"p": (A, B, C)})
    circle = [[A, B, C], [B, C, A], [C, A, B]] * 3
    chosen = [await choose(pick) for _ in range(4)]
    start = circle.index(chosen[0])
    assert chosen == circle[start : start + 4]


async def test_it_is_said_what_a_choice_was_based_on():
    told = Counter()

    def count(*labels):
        told[labels] += 1

    for algorithm, rung in [("least_request", "in_flight"), ("round_robin", "any")]:
        pick = over({"p": (A, B)}, policy=PickerPolicy(algorithm=algorithm), count=count)
        found = await pick.decide(BARE.having(Model("m", "p", "m")))
        assert found.fact(Route).witness() == {"rung": rung}
    assert told == {("p", "in_flight"): 1, ("p", "any"): 1}


async def test_pools_take_turns_of_their_own():
    pick = over({"p": (A, B), "q": (C,)})
    first = await choose(pick)
    assert await choose(pick, "q") == [C]
    assert await choose(pick) == first[::-1]


async def test_a_sick_one_is_never_named():
    engines = MemoryEngines({"p": (A, B, C)}, [B])
    pick = over(["p"], engines)
    assert sorted([await choose(pick) for _ in range(2)]) == [[A, C], [C, A]]
    engines.sick = {A, B}
    assert [await choose(pick) for _ in range(3)] == [[C]] * 3


async def test_without_a_healthy_one_the_client_is_asked_to_come_back():
    denied = await choose(over(["p"], MemoryEngines({"p": (A,)}, [A])))
    assert denied.reason is Reason.NO_ENDPOINT
    assert denied.retry_after_s > 0
    assert A not in denied.message


async def test_a_request_that_has_a_route_keeps_it():
    engines = MemoryEngines({"p": (A,)})
    request = BARE.having(Model("m", "p", "m")).having(Route(("elsewhere:443",)))
    assert await over(["p"], engines).decide(request) is request
    assert not engines.picks


ENDPOINTS = st.lists(st.integers(1, 65535), min_size=1, max_size=9, unique=True).map(
    lambda ports: [f"10.0.0.1:{port}" for port in ports]
)


@given(ENDPOINTS, st.integers(1, 5))
async def test_everyone_is_first_equally_often(endpoints, rounds):
    pick = over({"p": endpoints})
    first = Counter([(await choose(pick))[0] for _ in range(rounds * len(endpoints))])
    assert first == dict.fromkeys(endpoints, rounds)


@given(ENDPOINTS, st.data())
async def test_whoever_falls_sick_when_only_the_healthy_are_named(endpoints, data):
    engines = MemoryEngines({"p": endpoints})
    pick = over(["p"], engines, PickerPolicy())
    for number in range(4):
        engines.sick = data.draw(st.sets(st.sampled_from(endpoints)))
        chosen = await choose(pick, request=bare(settle_key=f"k{number}"))
        if isinstance(chosen, Deny):
            assert engines.sick == set(endpoints)
        else:
            assert not engines.sick & set(chosen)
            assert len(chosen) == min(TRIES, len(endpoints) - len(engines.sick))


async def test_what_is_known_of_the_prompt_is_told():
    engines = MemoryEngines({"p": (A, B)})
    pick = over(["p"], engines, PickerPolicy(), clock=lambda: 7.0)
    request = BARE.having(Prefix((1, 2, 3), 64, 250)).having(Counted(300))
    chosen = await choose(pick, request=request)
    (picked,) = engines.picks
    assert (picked.key, picked.pool, picked.endpoint) == ("k1", "p", chosen[0])
    assert (picked.at_s, picked.prompt_tokens, picked.cached_tokens) == (7.0, 300, 0)
    assert picked.blocks == (1, 2, 3)


async def test_a_prompt_goes_back_to_its_cache():
    engines = MemoryEngines({"p": (A, B, C)})
    engines.prefixes("p").note(B, [1, 2, 3])
    pick = over(["p"], engines, PickerPolicy())
    for number in range(20):
        request = bare(settle_key=f"k{number}").having(Prefix((1, 2, 3, 4), 64, 2000))
        assert (await choose(pick, request=request))[0] == B
    assert {picked.cached_tokens for picked in engines.picks} == {192}


async def test_exact_tokens_go_before_counted_ones():
    engines = MemoryEngines({"p": (A,)})
    request = BARE.having(Prefix((1,), 16, 33, is_exact=True)).having(Counted(300))
    await choose(over(["p"], engines), request=request)
    assert engines.picks[0].prompt_tokens == 33


async def test_only_adapters_are_looked_for():
    engines = MemoryEngines({"p": (A, B)})
    seen = []

    class Watching(Pick):
        def _choose(self, request, asked, candidates, now_s):
            seen.append(asked.adapter)
            return super()._choose(request, asked, candidates, now_s)

    for adapters in ((), ("m",), ("other",)):
        await choose(Watching({"p": IN_TURN}, engines, adapters))
    assert seen == ["", "lora-1", ""]


@pytest.mark.parametrize(
    ("session", "headers", "who", "named"),
    [
        (None, {"session-id": "s"}, Identity("acme", "k"), ""),
        ("session-id", {"session-id": "s"}, Identity("acme", "k"), "acme\0s"),
        ("session-id", {}, Identity("acme", "k"), ""),
        ("session-id", {"session-id": "s"}, None, "\0s"),
        ("user", {}, Identity("acme", "k", user="ann"), "acme\0ann"),
        ("user", {}, Identity("acme", "k"), "acme\0k"),
        ("user", {}, None, ""),
    ],
)
async def test_sessions(session, headers, who, named):
    pick = over({"p": (A,)}, policy=PickerPolicy(session=session))
    request = bare(headers=headers).having(Model("m", "p", "m"))
    assert pick._ask(request.having(who) if who else request).session == named


@pytest.mark.parametrize("failed", [(), (A,), (A, B)])
async def test_the_end_of_a_request_is_told_with_those_that_gave_no_answer(failed):
    engines = MemoryEngines({"p": (A, B, C)})
    pick = over(["p"], engines)
    request = await pick.decide(BARE.having(Model("m", "p", "m")))
    (picked,) = engines.picks
    assert (picked.pool, picked.endpoint) == ("p", request.fact(Route).endpoints[0])
    witness = request.witness()
    await pick.renew(Outcome(witness, 0, 1, (), running=True))
    assert engines.renewed == [picked.key]
    end = Outcome(witness, 200, 1 + len(failed), failed, served=C, latency_s=1.5)
    await pick.settle(end)
    (ended,) = engines.ends
    assert (ended.key, ended.pool, ended.status) == (picked.key, "p", 200)
    assert (ended.endpoint, ended.latency_s, ended.model) == (C, 1.5, "m")
    assert (ended.attempts, ended.is_stream) == (1 + len(failed), False)
    assert engines.sick == set(failed)


async def test_an_end_that_is_told_again_says_nothing_of_endpoints():
    engines = MemoryEngines({"p": (A, B)})
    pick = over(["p"], engines)
    request = await pick.decide(BARE.having(Model("m", "p", "m")))
    await pick.settle_again(Outcome(request.witness(), 503, 2, (A,), served=B))
    (ended,) = engines.ends
    assert (ended.key, ended.pool, ended.status, ended.failed) == ("k1", "p", 0, ())
    assert not ended.attempts
    assert not engines.sick


async def test_what_another_pool_served_ends_where_it_was_picked():
    engines = MemoryEngines({"p": (A,)})
    witness = {"settle_key": "k1", "pool": "q", "picked_pool": "p"}
    await over(["p"], engines).settle(Outcome(witness, 200, 2, (A,)))
    assert engines.ends[0].pool == "p"


@pytest.mark.parametrize(
    "witness",
    [{}, {"settle_key": "k1"}, {"pool": "p"}, {"settle_key": "k1", "pool": "p", "deny": "x"}],
)
async def test_what_was_never_picked_does_not_end(witness):
    engines = MemoryEngines({"p": (A,)})
    pick = over(["p"], engines)
    await pick.settle(Outcome(witness, 401, 0, ()))
    assert not engines.ends
    await pick.renew(Outcome({}, 0, 0, (), running=True))
    assert not engines.renewed


async def test_two_endpoints_for_one_request():
    engines = MemoryEngines({"p": (A, B)})
    for each, role in zip(engines.pools["p"], ("prefill", "decode"), strict=True):
        each.role = role
    pick = over(["p"], engines, PickerPolicy(algorithm="disaggregated"))
    request = await pick.decide(BARE.having(Model("m", "p", "m")).having(Prefix((1, 2), 64, 1000)))
    route = request.fact(Route)
    assert (list(route.endpoints), route.prefiller) == ([B], A)
    told = {
        each.key: (each.endpoint, each.prompt_tokens - each.cached_tokens) for each in engines.picks
    }
    assert told == {"k1:prefill": (A, 1000), "k1": (B, 0)}
    witness = request.witness()
    await pick.renew(Outcome(witness, 0, 1, (), running=True))
    assert engines.renewed == ["k1", "k1:prefill"]
    await pick.settle(Outcome(witness, 200, 1, (B,), served=B))
    assert [(each.key, each.endpoint, each.failed) for each in engines.ends] == [
        ("k1", B, (B,)),
        ("k1:prefill", A, ()),
    ]
