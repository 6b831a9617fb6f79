"""Redis gone, slow, standing still, read-only, restarted empty: what clients see, and what is counted
when it is back. Against a real server."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from extproc.cli.preflight import free_port
from extproc.errors import CountersFaultError
from extproc.limits import backlog
from extproc.limits.base import Charge, Settlement, Ticket, find_places
from extproc.stores.counters_fallback import LocalFallback, fall_back
from extproc.stores.counters_memory import MemoryCounters
from extproc.stores.counters_redis import open_counters
from tests.extproc.stores.limits import Clock, ask, budget, leaky, semaphore, used, window
from tests.extproc.stores.road import road_to
from tests.valkey import Valkey

GUARD_S = 30.0
PROBE_S = 0.02
DEADLINE_S = 0.02
PATIENT_S = 5.0
"""Where the server answers, or is gone at once: then no deadline is in what is tested."""
ALL = (budget(), window(), semaphore())
"""Limits that do not come back within a test."""


@asynccontextmanager
async def worker(url, replicas=2, told=lambda _key, _settlement: None, deadline_s=DEADLINE_S):
    """Its clock stands still: no month ends, and nothing comes back by itself."""
    clock = Clock()
    async with (
        open_counters(url, deadline_s, clock=clock) as shared,
        fall_back(shared, MemoryCounters(clock), replicas, told, PROBE_S) as counters,
    ):
        await until(lambda: answers(shared))
        yield counters


async def answers(counters):
    try:
        await counters.look([(budget(), "nobody")])
    except CountersFaultError:
        return False
    return True


async def until(condition):
    async with asyncio.timeout(GUARD_S):
        while not await condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.005)


async def go_down(counters):
    """Have it notice that nothing answers."""
    for number in range(3):
        await counters.reserve(f"notice{number}", [], 30)
    assert counters.down


async def be_back(counters):
    async def caught_up():
        return not counters.down and not counters.missed

    await until(caught_up)


async def remaining(counters, *limits, scope="ann"):
    """Ask until the server has answered in time, which on a busy machine may take a second try."""
    async with asyncio.timeout(GUARD_S):
        while True:
            try:
                seen = await counters.look([(each, scope) for each in limits])
            except CountersFaultError:
                await asyncio.sleep(PROBE_S)
            else:
                return [one.remaining for one in seen]


async def test_as_long_as_it_answers_nothing_is_different(valkey):
    async with worker(valkey.url, deadline_s=PATIENT_S) as counters:
        verdict = await counters.reserve("k", ask(*ALL), 30)
        assert (verdict.admitted, verdict.degraded) == (True, "")
        assert await counters.renew("k", 30)
        assert (await counters.settle("k", used(30))).state == "settled"
        assert await counters.scopes("money") == ["ann"]
        assert await remaining(counters, *ALL) == [970, 970, 2]
        assert await counters.reset("money", "ann")
        assert (counters.down, counters.missed) == (False, 0)


def at_once(call):
    """What it returns, and that it waits for nothing."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    call.close()
    pytest.fail("it waits")


async def test_it_never_takes_longer_than_its_deadline_and_soon_nothing(valkey):
    """Three wait for it, until their deadline, and then nobody does."""
    async with asyncio.timeout(GUARD_S), worker(valkey.url) as counters:
        valkey.pause()
        try:
            for number in range(20):
                call = counters.reserve(f"k{number}", ask(budget(amount=10**6)), 30)
                verdict = await call if number < 3 else at_once(call)
                assert verdict.degraded == "local"
            assert (await counters.settle("k0", used(1))).state == "queued"
            with pytest.raises(CountersFaultError):
                await counters.look([(budget(), "ann")])
        finally:
            valkey.resume()
        await be_back(counters)


@asynccontextmanager
async def worker_without(tmp_path, replicas=2):
    """One whose server has never been there."""
    async with (
        open_counters(f"unix://{tmp_path}/none", DEADLINE_S) as shared,
        fall_back(shared, MemoryCounters(Clock()), replicas) as counters,
    ):
        yield counters


async def test_what_passed_meanwhile_is_counted_afterwards(tmp_path):
    """Down, and restarted with nothing in memory."""
    told = {}
    with Valkey(tmp_path) as valkey:
        async with worker(valkey.url, told=told.__setitem__, deadline_s=PATIENT_S) as counters:
            valkey.stop()
            for key in ("settled", "open", "given back"):
                verdict = await counters.reserve(key, ask(budget(), window()), 30)
                assert (verdict.admitted, verdict.degraded) == (True, "local")
            assert await counters.settle("settled", used(30)) == Settlement("queued")
            assert (await counters.settle("given back", None)).state == "queued"
            assert counters.missed >= 5
            valkey.start()
            await be_back(counters)
            assert await remaining(counters, budget(), window()) == [870, 870]
            assert (await counters.settle("open", used(40))).state == "settled"
            assert await remaining(counters, budget(), window()) == [930, 930]
            assert {key: told[key].limits[0].used for key in told} == {
                "settled": 30,
                "given back": 0,
            }


async def test_what_was_sent_and_not_answered_counts_once(valkey):
    """The server stood still: it does later what callers have given up, in whatever order."""
    async with worker(valkey.url) as counters, worker(valkey.url) as other:
        valkey.pause()
        keys = [f"k{number}" for number in range(6)]
        verdicts = await asyncio.gather(*(counters.reserve(k, ask(*ALL[:2]), 30) for k in keys))
        admitted = [key for key, verdict in zip(keys, verdicts, strict=True) if verdict.admitted]
        assert len(admitted) == 5, "its share is half of the limit"
        for key in admitted[:3]:
            await counters.settle(key, used(10))
        for key in admitted[3:]:
            await other.settle(key, used(10))  # whoever sees the end settles
        valkey.resume()
        await be_back(counters)
        await be_back(other)
        assert await remaining(counters, *ALL[:2]) == [950, 950]
        for key in keys:
            state = (await counters.settle(key, used(500))).state
            known = "repeated" if key in admitted else "unknown"
            assert state in (known, "queued"), "queued: it answered too late, once more"
        await be_back(counters)
        assert await remaining(counters, *ALL[:2]) == [950, 950]


async def test_a_refusal_gives_back_what_may_have_been_taken(valkey):
    async with worker(valkey.url) as counters:
        valkey.pause()
        denied = budget(on_fault="deny")
        verdict = await counters.reserve("k", ask(denied, window()), 30)
        assert (verdict.admitted, verdict.degraded) == (False, "deny")
        valkey.resume()
        await be_back(counters)
        assert await remaining(counters, denied, window()) == [1000, 1000]


async def test_whoever_leaves_while_asking_leaves_nothing(valkey):
    async with worker(valkey.url) as counters:
        await counters.reserve("b", ask(*ALL), 30)
        valkey.pause()
        for call in (counters.reserve("a", ask(*ALL), 30), counters.settle("b", used(30))):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await call
        valkey.resume()
        await be_back(counters)
        assert await remaining(counters, *ALL) == [970, 970, 2]


async def test_places_in_semaphores_are_taken_again(tmp_path):
    with Valkey(tmp_path) as valkey:
        async with worker(valkey.url, replicas=1, deadline_s=PATIENT_S) as counters:
            valkey.stop()
            assert (await counters.reserve("k", ask(semaphore()), 30)).admitted
            assert await counters.renew("k", 30)
            await go_down(counters)
            assert await counters.renew("k", 30)
            assert not await counters.renew("other", 30)
            valkey.start()
            await be_back(counters)
            assert await remaining(counters, semaphore()) == [1]
            assert await counters.renew("k", 30)
            await counters.settle("k", None)
            assert await remaining(counters, semaphore()) == [2]


async def test_read_only(tmp_path):
    """Connected to what has become a replica: until it is the master again."""
    port = free_port()
    with Valkey(tmp_path / "a", "--port", str(port)), Valkey(tmp_path / "b") as valkey:
        async with worker(valkey.url, deadline_s=PATIENT_S) as counters:
            valkey.order("REPLICAOF", "127.0.0.1", str(port))
            await go_down(counters)
            verdict = await counters.reserve("k", ask(*ALL), 30)
            assert verdict.degraded == "local"
            valkey.order("REPLICAOF", "NO", "ONE")
            await be_back(counters)
            assert await remaining(counters, *ALL) == [900, 900, 1]


async def test_full(tmp_path):
    """It answers, and forgets what it is told to forget. What was missed is not tried in vain."""
    with Valkey(tmp_path) as valkey:
        async with worker(valkey.url, deadline_s=PATIENT_S) as counters:
            await counters.reserve("k", ask(*ALL), 30)
            valkey.order("CONFIG", "SET", "maxmemory", "1")
            await go_down(counters)
            assert (await counters.settle("k", used(30))).state == "queued"
            for _ in range(2 * backlog.TRIES):
                await counters._probe()
                assert counters.down
            valkey.order("CONFIG", "SET", "maxmemory", "0")
            await be_back(counters)
            assert counters.dropped == 0
            assert await remaining(counters, *ALL) == [970, 970, 2]


async def test_slow(valkey, tmp_path):
    """A hundred milliseconds late, all the time: it is as good as gone, and what it does counts."""
    path = tmp_path / "road"
    async with road_to(valkey.socket, path) as road, worker(f"unix://{path}") as counters:
        road.delay_s = 0.1
        for number in range(8):
            verdict = await counters.reserve(f"k{number}", ask(budget(), amount=10), 30)
            assert verdict.degraded == "local"
            assert (await counters.settle(f"k{number}", used(3))).state == "queued"
        assert counters.down
        road.delay_s = 0.0
        await be_back(counters)
        assert await remaining(counters, budget()) == [1000 - 8 * 3]


class Broken:
    """Counters of which nothing is heard."""

    async def reserve(self, settle_key, charges, lease_s, **how):
        raise CountersFaultError("gone")

    async def settle(self, settle_key, spent, *, forget=False):
        raise CountersFaultError("gone")

    async def renew(self, settle_key, lease_s):
        raise CountersFaultError("gone")


async def test_what_is_missed_is_bounded():
    counters = LocalFallback(Broken(), MemoryCounters(), 1)
    for number in range(backlog.MOST + 5):
        await counters.settle(f"k{number}", None)
    assert (counters.missed, counters.dropped) == (backlog.MOST, 5)


class Picky(MemoryCounters):
    """Never takes one key, as a server whose script fails for it."""

    async def reserve(self, settle_key, *given, **more):
        if settle_key == "bad":
            raise CountersFaultError("ERR user_script")
        return await super().reserve(settle_key, *given, **more)


async def test_what_the_server_will_never_take_holds_nobody_up():
    shared = Picky()
    async with fall_back(shared, MemoryCounters(), 2, probe_s=0.001) as counters:
        assert (await counters.reserve("bad", ask(window()), 30)).degraded == "local"
        assert (await counters.settle("bad", None)).state == "unknown"
        await be_back(counters)
        assert counters.dropped == 1
        assert not (await counters.reserve("good", ask(window()), 30)).degraded


async def test_what_no_counters_take_ends_nothing():
    shared, free = Flaky(), ask(window(on_fault="open"))
    async with fall_back(shared, MemoryCounters(), 2, probe_s=PROBE_S) as counters:
        shared.broken = True
        await go_down(counters)
        assert (await counters.reserve("bad", free * 2, 30)).admitted
        assert (await counters.reserve("good", free, 30)).admitted
        shared.broken = False
        await be_back(counters)
        assert counters.dropped == 1
        assert await remaining(counters, free[0].limit) == [900]


async def test_each_outage_is_told_of_once():
    shared, faults = Flaky(), []
    async with fall_back(
        shared, MemoryCounters(), 2, probe_s=PROBE_S, begun=lambda fault: faults.append(str(fault))
    ) as counters:
        for outages in (1, 2):
            shared.broken = True
            for number in range(5):
                await counters.reserve(f"k{number}", ask(window()), 30)
                assert len(faults) == (outages if counters.down else outages - 1)
            assert counters.down
            shared.broken = False
            await be_back(counters)
    assert faults == ["gone", "gone"]


async def test_a_fault_alone_opens_nothing():
    counters = LocalFallback(Broken(), MemoryCounters(), 1)
    assert not await counters.renew("k", 30)
    assert not counters.down
    for _ in range(2):
        await counters.renew("k", 30)
    assert counters.down


async def test_workers_together_stay_within_the_limit(tmp_path):
    """While it is away each counts alone, and together they admit no more than the limit."""
    limit = leaky(amount=100, period_s=3600)
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(worker_without(tmp_path, replicas=4)) for _ in range(4)
        ]
        verdicts = [
            await one.reserve(f"{index}.{number}", [Charge(limit, "", 3)], 30)
            for index, one in enumerate(workers)
            for number in range(20)
        ]
    assert sum(3 * verdict.admitted for verdict in verdicts) == 4 * 24


TICKET = Ticket("w1", "batch", 1, "acme")


class Flaky(MemoryCounters):
    """Does what it is told; when it is broken, it does not say so. Its clock stands still."""

    broken = False

    def __init__(self):
        super().__init__(Clock())

    async def reserve(self, settle_key, charges, lease_s, **how):
        verdict = await super().reserve(settle_key, charges, lease_s, **how)
        self.check()
        return verdict

    async def settle(self, settle_key, spent, *, forget=False):
        self.check()
        return await super().settle(settle_key, spent, forget=forget)

    async def leave(self, places):
        self.check()
        await super().leave(places)

    def check(self):
        if self.broken:
            raise CountersFaultError("gone")


async def test_in_an_outage_each_worker_has_lines_of_its_own():
    shared, local, heard = Flaky(), MemoryCounters(), []
    charges = ask(semaphore(wait_s=5))
    async with fall_back(shared, local, 2, probe_s=PROBE_S) as counters:
        counters.listen(lambda place: heard.append(place.settle_key))
        shared.broken = True
        await go_down(counters)
        assert (await counters.reserve("a", charges, 30, ticket=TICKET)).admitted
        verdict = await counters.reserve("b", charges, 30, ticket=TICKET)
        assert (verdict.waits, verdict.degraded) == (True, "local"), "half of two places"
        await counters.settle("a", None)
        assert heard == ["b"]
        assert (await counters.reserve("b", charges, 30, ticket=TICKET)).admitted
        await counters.reserve("c", charges, 30, ticket=TICKET)
        await counters.leave(find_places("c", charges, TICKET))
        assert local.waiting == 0


async def test_what_passed_uncounted_is_counted_afterwards():
    shared, free = Flaky(), ask(window(on_fault="open"))
    async with fall_back(shared, MemoryCounters(), 2, probe_s=PROBE_S) as counters:
        shared.broken = True
        await go_down(counters)
        assert (await counters.reserve("k", free, 30)).degraded == "open"
        shared.broken = False
        await be_back(counters)
        assert await remaining(counters, free[0].limit) == [900]


async def test_after_it_who_waits_stands_in_the_lines_of_all():
    shared, local = Flaky(), MemoryCounters()
    charges = ask(semaphore(wait_s=5))
    for key in "xy":
        await shared.reserve(key, charges, 30)
    async with fall_back(shared, local, 2, probe_s=PROBE_S) as counters:
        shared.broken = True
        await go_down(counters)
        for key in "ab":
            await counters.reserve(key, charges, 30, ticket=TICKET)
        assert (shared.waiting, local.waiting) == (0, 1)
        shared.broken = False
        await be_back(counters)
        assert (await counters.reserve("b", charges, 30, ticket=TICKET)).waits
        assert (shared.waiting, local.waiting) == (1, 0)


@pytest.mark.parametrize("ticket", [TICKET, None])
@pytest.mark.parametrize("sent", [True, False])
async def test_what_was_given_back_in_vain_does_not_let_anybody_in(sent, ticket):
    """It asked, heard nothing, and asks once more under the same key."""
    shared, local = Flaky(), MemoryCounters()
    charges = ask(semaphore(wait_s=5))
    for key in "xy":
        await shared.reserve(key, charges, 30)
    await local.reserve("z", ask(semaphore(amount=1)), 30)
    counters = LocalFallback(shared, local, 2)
    shared.broken = True
    assert not (await counters.reserve("a", charges, 30, ticket=ticket)).admitted
    assert counters.missed == 1
    shared.broken = False
    if sent:
        await counters._send(counters._backlog.take())
    verdict = await counters.reserve("a", charges, 30, ticket=ticket)
    assert (verdict.admitted, verdict.waits) == (False, ticket is not None)
    assert counters._backlog.take() is None


async def test_what_was_refused_and_is_let_in_keeps_what_it_has():
    """While the refused one is given back, which fails, it asks once more and is admitted."""
    shared, local = Flaky(), MemoryCounters()
    denied = ask(semaphore(on_fault="deny"))
    counters = LocalFallback(shared, local, 2)
    shared.broken = True
    assert not (await counters.reserve("a", denied, 30)).admitted
    on_its_way = counters._backlog.take()
    shared.broken = False
    assert (await counters.reserve("a", denied, 30)).admitted
    shared.broken = True
    await counters._send(on_its_way)
    assert counters._backlog.take() is None
    shared.broken = False
    assert await remaining(counters, semaphore()) == [1]
