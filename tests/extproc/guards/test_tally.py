"""Counting in batches, over the counters that limits use."""

import pytest

from extproc.guards.rules import window
from extproc.guards.tally import add_all
from extproc.limits.rules import MOST_CHARGES
from extproc.stores.counters_fallback import fall_back
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from tests.extproc.guards.cases import Clock

FIVE, MANY = window("five", 5, 60), window("many", 10**6, 60)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis"])
async def counters(request, valkey, clock):
    if request.param == "memory":
        yield MemoryCounters(clock.us)
        return
    async with open_counters(valkey.url, deadline_s=10, clock=clock.us) as opened:
        yield opened


def remaining(levels):
    return {(limit.name, who): level.remaining for (limit, who), level in levels.items()}


async def test_it_adds_up_whatever_there_is(counters, clock):
    await add_all(counters, {(FIVE, "a"): 2, (FIVE, "b"): 4, (MANY, "a"): 2})
    levels = await add_all(counters, {(FIVE, "a"): 2, (FIVE, "b"): 4, (MANY, "a"): 1})
    assert remaining(levels) == {
        ("five", "a"): 1, ("five", "b"): -3, ("many", "a"): 10**6 - 3,
    }  # fmt: skip
    assert all(level.shared for level in levels.values())
    clock.now_s += 62
    assert remaining(await add_all(counters, {(FIVE, "b"): 1})) == {("five", "b"): 4}


async def test_more_than_one_call_takes(counters):
    amounts = {(MANY, f"s{number}"): 1 for number in range(2 * MOST_CHARGES + 1)}
    levels = await add_all(counters, amounts)
    assert remaining(levels) == {("many", who): 10**6 - 1 for _, who in amounts}


async def test_nothing_costs_nothing(counters):
    assert await add_all(counters, {}) == {}


async def test_nothing_else_is_left_behind(valkey, clock):
    """A record for each call, kept for a day, would fill the server."""
    async with open_counters(valkey.url, deadline_s=10) as counters:
        await add_all(counters, {(FIVE, "a"): 9, (FIVE, "b"): 1})
    assert valkey.order("DBSIZE") == ":2\r\n"


async def test_alone_it_counts_against_its_share(clock):
    async with (
        open_counters("unix:///nowhere") as gone,
        fall_back(gone, MemoryCounters(clock.us), replicas=5) as counters,
    ):
        levels = await add_all(counters, {(FIVE, "a"): 1})
        assert not levels[FIVE, "a"].shared
        levels = await add_all(counters, {(FIVE, "a"): 1})
    assert levels[FIVE, "a"].remaining == -1
