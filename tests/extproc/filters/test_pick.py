"""In turn among the healthy ones, the next in line for retries."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Deny, Outcome
from extproc.errors import Reason
from extproc.filters.pick import TRIES, Pick, rotate
from extproc.request import Model, Route
from extproc.stores.memory import MemoryEngines
from tests.extproc.requests import BARE

A, B, C = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"


async def choose(pick, pool="p"):
    request = BARE.having(Model("m", pool, "m"))
    found = await pick.decide(request)
    return found if isinstance(found, Deny) else list(found.fact(Route).endpoints)


async def test_each_in_turn_with_the_next_ones_behind():
    pick = Pick({"p": (A, B, C)}, MemoryEngines())
    circle = [[A, B, C], [B, C, A], [C, A, B]] * 3
    chosen = [await choose(pick) for _ in range(4)]
    start = circle.index(chosen[0])
    assert chosen == circle[start : start + 4]


async def test_workers_do_not_all_begin_at_the_same_one():
    endpoints = [f"10.0.0.{number}:1" for number in range(8)]
    begun = {(await choose(Pick({"p": endpoints}, MemoryEngines())))[0] for _ in range(40)}
    assert 1 < len(begun) <= 8


async def test_pools_take_turns_of_their_own():
    pick = Pick({"p": (A, B), "q": (C,)}, MemoryEngines())
    first = await choose(pick)
    assert await choose(pick, "q") == [C]
    assert await choose(pick) == first[::-1]


async def test_a_sick_one_is_never_named():
    engines = MemoryEngines([B])
    pick = Pick({"p": (A, B, C)}, engines)
    assert sorted([await choose(pick) for _ in range(2)]) == [[A, C], [C, A]]
    engines.sick = {A, B}
    assert [await choose(pick) for _ in range(3)] == [[C]] * 3


async def test_without_a_healthy_one_the_client_is_asked_to_come_back():
    denied = await choose(Pick({"p": (A,)}, MemoryEngines([A])))
    assert denied.reason is Reason.NO_ENDPOINT
    assert denied.retry_after_s > 0
    assert A not in denied.message


async def test_one_that_is_well_again_is_named_again():
    engines = MemoryEngines([A])
    pick = Pick({"p": (A, B)}, engines)
    await choose(pick)
    engines.sick.clear()
    assert sorted(await choose(pick)) == [A, B]


ENDPOINTS = st.lists(st.integers(1, 65535), min_size=1, max_size=9, unique=True).map(
    lambda ports: [f"10.0.0.1:{port}" for port in ports]
)


@given(ENDPOINTS, st.integers(0, 10**12))
def test_a_rotation_names_none_twice_and_keeps_the_circle(endpoints, turn):
    line = rotate(endpoints, turn)
    assert len(line) == len(set(line)) == min(TRIES, len(endpoints))
    assert set(line) <= set(endpoints)
    circle = endpoints + endpoints
    start = circle.index(line[0])
    assert list(line) == circle[start : start + len(line)]


@given(ENDPOINTS, st.integers(1, 5))
async def test_everyone_is_first_equally_often(endpoints, rounds):
    pick = Pick({"p": endpoints}, MemoryEngines())
    first = Counter([(await choose(pick))[0] for _ in range(rounds * len(endpoints))])
    assert first == dict.fromkeys(endpoints, rounds)


@given(ENDPOINTS, st.data())
async def test_whoever_falls_sick_when_only_the_healthy_are_named(endpoints, data):
    engines = MemoryEngines()
    pick = Pick({"p": endpoints}, engines)
    for _ in range(4):
        engines.sick = data.draw(st.sets(st.sampled_from(endpoints)))
        chosen = await choose(pick)
        if isinstance(chosen, Deny):
            assert engines.sick == set(endpoints)
        else:
            assert not engines.sick & set(chosen)


@pytest.mark.parametrize("failed", [(), (A,), (A, B)])
async def test_attempts_without_an_answer_make_suspects(failed):
    engines = MemoryEngines()
    pick = Pick({"p": (A, B, C)}, engines)
    await pick.settle(Outcome({}, 200, 1 + len(failed), failed))
    assert engines.sick == set(failed)


async def test_a_refusal_makes_no_suspects():
    engines = MemoryEngines()
    await Pick({}, engines).settle(Outcome({"deny": "x"}, 401, 0, ()))
    assert engines.sick == set()
