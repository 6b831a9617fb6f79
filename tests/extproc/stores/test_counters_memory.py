"""What only counters in memory promise: the rest is in test_counters_contract.py."""

import tracemalloc

from extproc.limits.base import Charge
from extproc.stores.counters_memory import MemoryCounters, is_taken
from tests.extproc.stores.limits import (
    BEGIN,
    Clock,
    ask,
    bucket,
    budget,
    leaky,
    semaphore,
    used,
    window,
)


async def test_users_weigh_little():
    """Each with a bucket, a window and a budget in use, and their requests settled."""
    clock = Clock()
    counters = MemoryCounters(clock)
    tracemalloc.start()
    try:
        for number in range(1000):
            charges = [Charge(one, f"acme/{number}", 9) for one in (bucket(), window(), budget())]
            await counters.reserve(f"k{number}", charges, 30)
            await counters.settle(f"k{number}", used(5))
        weight = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(counters) == 3000
    assert weight / 3000 < 800, "bytes for each scope, its share of settle keys included"


async def test_idle_users_vanish():
    clock = Clock()
    counters = MemoryCounters(clock)
    for number in range(8000):
        charges = [Charge(leaky(), str(number), 9), Charge(semaphore(), str(number), 1)]
        await counters.reserve(f"k{number}", charges, 30)
        await counters.settle(f"k{number}", used(5))
        clock.wait(3)
    assert len(counters) < 1230 * 2, "what semaphores have learned stays for an hour"
    assert counters.forgotten == 0


async def test_room_for_so_many_and_no_more():
    counters = MemoryCounters(Clock(), most=100)
    for number in range(1000):
        await counters.reserve(f"k{number}", [Charge(window(), str(number), 9)], 30)
    assert len(counters) <= 100
    assert counters.forgotten >= 1800, "as many open requests"


async def test_what_it_holds():
    counters = MemoryCounters(Clock())
    await counters.reserve("k", ask(bucket()), 30)
    assert [counters.holds("k"), counters.holds("other")] == [True, False]
    await counters.settle("k", None)
    assert not counters.holds("k")


async def test_what_was_learned_of_a_semaphore_is_not_taken():
    counters = MemoryCounters(Clock())
    await counters.reserve("k", ask(semaphore()), 30)
    assert await counters.scopes("at-once") == ["ann"]
    await counters.settle("k", None)
    assert await counters.scopes("at-once") == []
    assert len(counters) == 1


def test_taken():
    state = bucket()
    rule = MemoryCounters(Clock())._rules.ready(state).rule
    assert not is_taken(rule.state(None, BEGIN), BEGIN)


async def test_by_its_own_clock():
    counters = MemoryCounters()
    await counters.reserve("k", ask(bucket()), 30)
    assert 0 < (await counters.look([(bucket(), "ann")]))[0].reset_s <= 6.0
