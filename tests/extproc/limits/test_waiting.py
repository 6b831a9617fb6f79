"""Waiting in line, over counters in memory: called in order, given up in time, forgotten at once."""

import asyncio
import math
from contextlib import asynccontextmanager

import msgspec
import pytest

from extproc.errors import CountersFaultError
from extproc.limits import waiting as waiting_module
from extproc.limits.base import Charge, Spent, Ticket, find_places
from extproc.limits.waiting import Asked, Waiting
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.memory import MemoryQueueMeter
from tests.extproc.stores.limits import Clock, bucket, leaky, semaphore

SLOTS = semaphore("slots", 1, wait_s=60)
HANG_S = 30.0


class Room:
    """Waiting, its counters and all that happened."""

    def __init__(self, most=waiting_module.MOST):
        self.counters, self.meter = MemoryCounters(), MemoryQueueMeter()
        self.waiting = Waiting(self.counters, self.meter, "w1", most)
        self.turns = []

    def asked(self, key, *limits, priority="batch", client_s=math.inf, size=10, amount=1):
        charges = tuple(Charge(limit, "", amount) for limit in limits or (SLOTS,))
        ticket = Ticket("w1", priority, 1, "acme")
        return Asked(key, charges, 30, ticket, client_s, size)

    def places(self, key):
        asked = self.asked(key)
        return find_places(key, asked.charges, asked.ticket)

    async def refused(self, asked):
        ticket = msgspec.structs.replace(asked.ticket, joins=False)
        return await self.counters.reserve(asked.settle_key, asked.charges, 30, ticket=ticket)

    async def take(self, key, *limits, amount=1):
        assert (await self.refused(self.asked(key, *limits, amount=amount))).admitted

    async def come(self, asked):
        """Ask, and wait if that is of use; returns the turn."""
        verdict = await self.refused(asked)
        assert not verdict.admitted
        turn = await self.waiting.wait(asked, verdict)
        self.turns.append((asked.settle_key, turn))
        return turn

    async def until(self, count):
        async with asyncio.timeout(HANG_S):
            while self.counters.waiting != count:  # noqa: ASYNC110 - counters have no event
                await asyncio.sleep(0.001)


@asynccontextmanager
async def room(**options):
    one = Room(**options)
    async with asyncio.TaskGroup() as tasks:
        one.tasks = tasks
        running = tasks.create_task(one.waiting.run())
        yield one
        running.cancel()


async def test_who_waits_is_served_in_order_as_places_fall_free():
    async with room() as one:
        await one.take("k0")
        for number in range(1, 4):
            one.tasks.create_task(one.come(one.asked(f"k{number}")))
            await one.until(number)
        assert one.meter.lengths == {"batch": 3}
        for number in range(3):
            await one.counters.settle(f"k{number}", Spent())
            await one.until(2 - number)
            await asyncio.sleep(0)
    assert [key for key, turn in one.turns if turn.verdict.admitted] == ["k1", "k2", "k3"]
    assert [priority for priority, _ in one.meter.waits] == ["batch"] * 3
    assert one.meter.lengths == {"batch": 0}
    assert one.meter.sheds == []


async def test_time_makes_room_in_a_rate():
    rate, clock = leaky("rate", 100, wait_s=60), Clock()
    async with room() as one:
        one.counters = one.waiting._counters = MemoryCounters(clock)
        await one.take("k0", rate, amount=100)
        waits = one.tasks.create_task(one.come(one.asked("k1", rate, amount=5)))
        await one.until(1)
        clock.wait(0.04)
        await asyncio.sleep(0.3)  # it has asked again
        assert not waits.done()
        clock.wait(0.01)
        assert (await waits).verdict.admitted


async def test_it_gives_up_when_the_limit_or_the_client_has_no_more_patience():
    async with room() as one:
        await one.take("k0")
        turn = await one.come(one.asked("k1", client_s=0.05))
        assert (turn.why, turn.verdict.admitted) == ("expired", False)
        assert turn.waited_s >= 0.05
        await one.take("q0", semaphore("quick", 1, wait_s=0.03))
        turn = await one.come(one.asked("q1", semaphore("quick", 1, wait_s=0.03)))
        assert (turn.why, turn.verdict.retry_after_s is None) == ("expired", False)
        await one.until(0)
    assert one.meter.sheds == [("batch", "expired")] * 2


async def test_a_client_that_leaves_frees_its_place_at_once():
    async with room() as one:
        await one.take("k0")
        gone = one.tasks.create_task(one.come(one.asked("k1")))
        await one.until(1)
        stays = one.tasks.create_task(one.come(one.asked("k2")))
        await one.until(2)
        gone.cancel()
        await one.until(1)
        await one.counters.settle("k0", Spent())
        assert (await stays).verdict.admitted
    assert one.meter.sheds == [("batch", "gone")]


async def test_who_is_called_and_not_there_any_more_leaves():
    """Another worker's memory of it, or a call that crossed its leaving."""
    async with room() as one:
        await one.take("k0")
        ghost = one.asked("ghost")
        await one.counters.reserve("ghost", ghost.charges, 30, ticket=ghost.ticket)
        stays = one.tasks.create_task(one.come(one.asked("k2")))
        await one.until(2)
        await one.counters.settle("k0", Spent())
        assert (await stays).verdict.admitted
        await one.until(0)


async def test_a_limit_that_refuses_and_has_no_line_ends_it():
    async with room() as one:
        await one.take("k0")
        hard = bucket("hard", 10)
        charges = (Charge(SLOTS, "", 1), Charge(hard, "", 8))
        waits = one.tasks.create_task(
            one.come(msgspec.structs.replace(one.asked("k1"), charges=charges))
        )
        await one.until(1)
        await one.take("k2", hard, amount=8)
        await one.counters.settle("k0", Spent())
        turn = await waits
        assert (turn.verdict.admitted, turn.why) == (False, None)
        assert [standing.limit.name for standing in turn.verdict.blocking] == ["hard"]
        await one.until(0)


@pytest.mark.parametrize(
    ("most", "size", "client_s", "why"),
    [
        (1000, 10, math.inf, None),
        (1, 10, math.inf, "full"),
        (1000, waiting_module.MOST_BYTES, math.inf, "full"),
        (1000, 10, 0.0, "late"),
    ],
)
async def test_who_had_better_not_wait(most, size, client_s, why):
    async with room(most=most) as one:
        await one.take("k0")
        waits = one.tasks.create_task(one.come(one.asked("k1")))
        await one.until(1)
        asked = one.asked("k2", size=size, client_s=client_s)
        assert one.waiting.refuses(asked, await one.refused(asked)) == why
        assert one.meter.sheds == ([("batch", why)] if why else [])
        waits.cancel()


async def test_what_never_fits_is_not_waited_for():
    async with room() as one:
        asked = one.asked("k1", leaky("rate", 100, wait_s=60), amount=101)
        assert one.waiting.refuses(asked, await one.refused(asked)) == "late"


async def test_a_worker_that_stops_lets_nobody_wait():
    async with room() as one:
        await one.take("k0")
        waits = one.tasks.create_task(one.come(one.asked("k1")))
        await one.until(1)
        one.waiting.close()
        assert (await waits).why == "draining"
        asked = one.asked("k2")
        assert one.waiting.refuses(asked, await one.refused(asked)) == "draining"
        await one.until(0)


class Deaf(MemoryCounters):
    """Calls nobody."""

    def listen(self, hear):
        pass


async def test_a_call_that_is_lost_is_made_up_for():
    async with room() as one:
        one.counters = Deaf()
        one.waiting._counters = one.counters
        await one.take("k0")
        waits = one.tasks.create_task(one.come(one.asked("k1")))
        await one.until(1)
        await one.counters.settle("k0", Spent())
        async with asyncio.timeout(HANG_S):
            assert (await waits).verdict.admitted


class Fickle(MemoryCounters):
    """Says that it is somebody else, from some time on."""

    degraded = ""

    async def reserve(self, *given, **how):
        verdict = await super().reserve(*given, **how)
        return msgspec.structs.replace(verdict, degraded=self.degraded)


async def test_when_other_counters_answer_everybody_asks_them():
    async with room() as one:
        before, after = Fickle(), Fickle()
        after.degraded = "local"
        one.counters = one.waiting._counters = before
        await one.take("k0")
        waits = [one.tasks.create_task(one.come(one.asked(f"k{n}"))) for n in range(1, 60)]
        await one.until(59)
        one.counters = one.waiting._counters = after
        await one.take("k0")
        await one.until(59)
        for each in waits:
            each.cancel()


class Away(MemoryCounters):
    """Cannot be told that somebody leaves."""

    async def leave(self, places):
        raise CountersFaultError("gone")


async def test_that_somebody_leaves_and_cannot_say_so_is_no_end():
    async with room() as one:
        one.counters = one.waiting._counters = Away()
        one.counters.listen(one.waiting._call)
        await one.take("k0")
        gone = one.tasks.create_task(one.come(one.asked("k1")))
        await one.until(1)
        gone.cancel()
        await asyncio.sleep(0)
        stays = one.tasks.create_task(one.come(one.asked("k2")))
        await one.until(2)
        await MemoryCounters.leave(one.counters, one.places("k1"))
        await one.counters.settle("k0", Spent())
        assert (await stays).verdict.admitted
