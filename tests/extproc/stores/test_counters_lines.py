"""Lines in Redis: the same answers and calls as in memory, one order for all workers, and the dead."""

import asyncio
import random
import uuid
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.base import Charge, Spent, Ticket, Unit, Verdict, find_places
from extproc.limits.waiting import Asked, Waiting
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from extproc.stores.memory import MemoryQueueMeter
from tests.extproc.stores.limits import Clock, bucket, budget, leaky, semaphore, used, window

HANG_S = 30.0

# ---- twins

LIMITS = (
    semaphore("slots", 2, wait_s=5),
    bucket("tpm", 1000, 60, wait_s=5),
    window("tpd", 500, 60, wait_s=5),
    semaphore("plain", 3),
    budget("money", 3000, wait_s=1),
    leaky("ghost", 300, 1, shadow=True, wait_s=3),
)


class Script:
    """What eight requests do at random, again and again under the same keys."""

    def __init__(self, seed):
        dice = self.dice = random.Random(seed)
        self.plan = [
            (
                dice.choice([1, 1, 2, 3, 4, 7, 9, 63, dice.randint(1, 63)]),
                dice.choice([1, 100, 400, dice.randint(1, 400)]),
                dice.choice([("interactive", 8), ("batch", 1)]),
                dice.choice(["acme", "globex", "a \u00e9"]),
            )
            for _ in range(8)
        ]
        kinds = ["reserve"] * 9 + ["join"] * 46 + ["plain"] * 5 + ["settle"] * 20 + ["leave"] * 6
        self.steps = [
            (dice.choice([*kinds, *["wait"] * 14]), dice.randint(0, 7)) for _ in range(80)
        ]
        self.pauses = [dice.choice([1000, dice.randint(0, 3 * 10**6)]) for _ in self.steps]
        self.spent = [dice.choice([None, 0.5]) for _ in self.steps]

    def request(self, number, *, joins):
        mask, amount, (priority, weight), tenant = self.plan[number]
        charges = [
            Charge(one, "a:b", 1 if one.unit is Unit.CONCURRENT else amount)
            for bit, one in enumerate(LIMITS)
            if mask >> bit & 1
        ]
        return f"k{number}", charges, Ticket("w1", priority, weight, tenant, joins)

    async def do(self, counters, index):
        what, number = self.steps[index]
        key, charges, ticket = self.request(number, joins=what != "reserve")
        match what:
            case "plain":
                return await counters.reserve(key, charges, 30)
            case "settle":
                share = self.spent[index]
                spent = share and used(int(self.plan[number][1] * share))
                return await counters.settle(key, spent, forget=True)
            case "leave":
                return await counters.leave(find_places(key, charges, ticket))
            case _:
                return await counters.reserve(key, charges, 30, ticket=ticket)


async def compare(valkey, seed):
    script, clock = Script(seed), Clock()
    memory, told, heard, waited = MemoryCounters(clock), [], [], False
    memory.listen(told.append)
    async with open_counters(valkey.url, deadline_s=10, clock=clock) as redis:
        redis.listen(heard.append)
        for index, (what, _) in enumerate(script.steps):
            if what == "wait":
                clock.now_us += script.pauses[index]
                continue
            valkey.order(
                "SET", "{headgate}:a:w1", ""
            )  # it lives, however long this process stands still
            answer = await script.do(memory, index)
            assert answer == await script.do(redis, index), script.steps[index]
            waited = waited or (isinstance(answer, Verdict) and answer.waits)
        async with asyncio.timeout(HANG_S):
            while waited and len(heard) < len(told):  # noqa: ASYNC110 - others are late
                await asyncio.sleep(0.002)
    assert heard == told or not waited


@settings(max_examples=30, deadline=None)
@given(seed=st.integers())
def test_both_stores_answer_and_call_alike(valkey_server, seed):
    valkey_server.order("FLUSHALL")
    asyncio.run(compare(valkey_server, seed))


# ---- several workers


class Worker:
    """One of those that share counters."""

    def __init__(self, counters, name=None):
        self.counters, self.meter = counters, MemoryQueueMeter()
        self.waiting = Waiting(counters, self.meter, name or uuid.uuid4().hex)

    async def ask(self, key, limit, priority=("batch", 1), tenant="acme"):
        """Have a place, waiting for it where that is needed."""
        ticket = Ticket(self.waiting.worker, *priority, tenant, joins=False)
        charges = (Charge(limit, "", 1),)
        verdict = await self.counters.reserve(key, charges, 30, ticket=ticket)
        if not verdict.admitted:
            joining = Ticket(self.waiting.worker, *priority, tenant)
            asked = Asked(key, charges, 30, joining, float("inf"), 10)
            verdict = (await self.waiting.wait(asked, verdict)).verdict
        return verdict


@asynccontextmanager
async def workers(url, count):
    async with AsyncExitStack() as stack:
        opened = [open_counters(url, deadline_s=10) for _ in range(count)]
        found = [Worker(await stack.enter_async_context(each)) for each in opened]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.waiting.run()) for each in found]
            yield found
            for each in running:
                each.cancel()


CLASSES = {"acme": ("interactive", 3), "globex": ("batch", 1)}


async def test_two_workers_keep_one_order_and_no_place_idle(valkey):
    """Closed loops on both: 3 to 1 by weight, everybody served, as fast as two places allow."""
    limit, served, rounds = semaphore("slots", 2, wait_s=20), [], 120

    async def loop(worker, tenant, name):
        for turn in range(rounds):
            key = f"{name}.{turn:03}"
            verdict = await worker.ask(key, limit, CLASSES[tenant], tenant)
            assert verdict.admitted
            served.append(tenant)
            await asyncio.sleep(0.002)
            await worker.counters.settle(key, Spent())
            if len(served) >= rounds * 2:
                return

    async with workers(valkey.url, 2) as both, asyncio.timeout(HANG_S):
        await asyncio.gather(
            *(
                loop(worker, tenant, f"{tenant}{number}{index}")
                for index, worker in enumerate(both)
                for tenant in CLASSES
                for number in range(3)
            )
        )
    found = Counter(served[20 : rounds * 2 - 20])
    assert 2.5 <= found["acme"] / found["globex"] <= 3.5


async def until_waiting(valkey, count):
    async with asyncio.timeout(HANG_S):
        while valkey.order("ZCARD", "{headgate}:z:batch:slots:") != f":{count}\r\n":  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_no_newcomer_passes_who_waits_in_another_worker(valkey):
    """Worker B asks all the time, and is always refused at first or comes after A's."""
    limit = semaphore("slots", 1, wait_s=20)
    async with workers(valkey.url, 2) as (first, second), asyncio.timeout(HANG_S):
        await first.ask("held", limit)
        order = []

        async def have(worker, key):
            assert (await worker.ask(key, limit)).admitted
            order.append(key)
            await worker.counters.settle(key, Spent())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(have(first, "a"))
            await until_waiting(valkey, 1)
            for number in range(20):
                tasks.create_task(have(second, f"b{number:02}"))
            await until_waiting(valkey, 21)
            await first.counters.settle("held", Spent())
        assert order == ["a", *(f"b{number:02}" for number in range(20))]


@pytest.mark.parametrize("how", ["killed", "hung"])
async def test_who_waited_in_a_worker_that_died_holds_nobody_up(valkey, how):
    limit = semaphore("slots", 1, wait_s=20)
    charges = (Charge(limit, "", 1),)
    async with (
        workers(valkey.url, 1) as (alive,),
        open_counters(valkey.url, deadline_s=10) as dying,
        asyncio.timeout(HANG_S),
    ):
        await alive.ask("held", limit)
        ticket = Ticket("dead", "batch", 1, "acme")
        for number in range(30):
            assert (await dying.reserve(f"d{number:02}", charges, 30, ticket=ticket)).waits
        stays = asyncio.ensure_future(alive.ask("z", limit))
        if how == "killed":
            valkey.order("DEL", "{headgate}:a:dead")
        await asyncio.sleep(0.02)
        await alive.counters.settle("held", Spent())
        assert (await stays).admitted


async def test_when_all_is_lost_who_waits_asks_again(valkey):
    """The server came back empty: nobody stands in line any more, and nobody is stuck."""
    limit = semaphore("slots", 1, wait_s=20)
    async with workers(valkey.url, 2) as both, asyncio.timeout(HANG_S):
        await both[0].ask("held", limit)

        async def have(number):
            worker = both[number % 2]
            assert (await worker.ask(f"k{number}", limit)).admitted
            await worker.counters.settle(f"k{number}", Spent())

        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(have(number))
            await asyncio.sleep(0.05)
            valkey.order("FLUSHALL")


async def test_nothing_is_asked_while_nobody_waits(valkey):
    limit = semaphore("slots", 1, wait_s=20)
    async with workers(valkey.url, 1) as (worker,):
        await worker.ask("a", limit)
        await worker.counters.settle("a", Spent())
        before = calls(valkey)
        await asyncio.sleep(0.5)
        assert calls(valkey) == before


def calls(valkey):
    """Commands so far, but for those that ask it."""
    stats = valkey.order("INFO", "commandstats")
    lines = [line for line in stats.splitlines() if line.startswith("cmdstat_")]
    return [line for line in lines if "info" not in line]


async def test_idle_lines_leave_nothing_behind(valkey):
    limit = semaphore("slots", 1, wait_s=20)
    async with workers(valkey.url, 1) as (worker,), asyncio.timeout(HANG_S):
        await worker.ask("a", limit)
        asking = asyncio.ensure_future(worker.ask("b", limit))
        await asyncio.sleep(0.02)
        await worker.counters.settle("a", Spent())
        await asking
        keys = valkey.order("KEYS", "*")
        assert not [kind for kind in "qztp" if f"{{headgate}}:{kind}:" in keys]


async def test_who_stepped_aside_leaves_nothing_behind(valkey):
    """It waits for one place and for tokens; the place comes first, the tokens when nobody waits."""
    clock = Clock()
    slots, tpm = semaphore("slots", 1, wait_s=20), bucket("tpm", 1000, wait_s=20)
    ticket = Ticket("w1", "batch", 1, "acme")
    both = (Charge(slots, "", 1), Charge(tpm, "", 500))
    async with open_counters(valkey.url, deadline_s=10, clock=clock) as counters:
        await counters.reserve("a", [Charge(slots, "", 1)], 30)
        await counters.reserve("b", [Charge(tpm, "", 1000)], 30)
        assert (await counters.reserve("c", both, 30, ticket=ticket)).waits
        await counters.settle("a", None)
        verdict = await counters.reserve("c", both, 30, ticket=ticket)
        assert [one.limit.name for one in verdict.blocking] == ["tpm"]
        assert "{headgate}:p:slots:" in valkey.order("KEYS", "*")
        clock.wait(60)
        assert (await counters.reserve("c", both, 30, ticket=ticket)).admitted
        keys = valkey.order("KEYS", "*")
        assert not [kind for kind in "qztp" if f"{{headgate}}:{kind}:" in keys]


async def test_who_died_aside_is_forgotten_also_where_others_come_and_go(valkey):
    slots, others = semaphore("slots", 1, wait_s=20), semaphore("others", 1, wait_s=20)
    ticket = Ticket("w1", "batch", 1, "acme")
    both = (Charge(slots, "", 1), Charge(others, "", 1))
    async with open_counters(valkey.url, deadline_s=10, clock=Clock()) as counters:
        await counters.reserve("a", both, 30)
        assert (await counters.reserve("b", both, 30, ticket=ticket)).waits
        await counters.settle("a", None)
        await counters.reserve("c", [Charge(others, "", 1)], 30)
        assert (await counters.reserve("b", both, 30, ticket=ticket)).waits
        left_ms = int(valkey.order("PTTL", "{headgate}:p:slots:")[1:])
        assert 0 < left_ms <= 60_000
        valkey.order("PEXPIRE", "{headgate}:p:slots:", str(left_ms // 2))
        assert (await counters.reserve("d", both[:1], 30, ticket=ticket)).admitted
        await counters.settle("d", None)
        assert int(valkey.order("PTTL", "{headgate}:p:slots:")[1:]) <= left_ms // 2
