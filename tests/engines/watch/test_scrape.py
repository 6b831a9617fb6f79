"""Looking at engines: real servers on loopback that answer well, badly, late or not at all."""

import asyncio
import socket
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from time import monotonic

import pytest

from engines.load import Load
from engines.rates import Rates
from engines.watch.pace import FAST_S
from engines.watch.scrape import HEALTH_EVERY, Scraper, Target
from tests.engines.watch.waiting import GUARD_S, until

DEADLINE_S = 0.3
"""Where somebody is late. Elsewhere nobody is, however long this process waits for a core."""


def read(text):
    """`running 3`"""
    name, _, value = text.partition(b" ")
    if name != b"running":
        raise ValueError("no load")
    return Load(running=int(value))


class Engine:
    """Answers with `status` and `text` at /metrics, with `health` at /health; how, may be changed."""

    def __init__(self, text=b"running 3", health=200):
        self.text, self.status, self.health = text, 200, health
        self.asked, self.connections = [], 0
        self.drip = self.hang = self.raw = None

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split()[1].decode()
                self.asked.append(path)
                await self.answer(path, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path, writer):
        if self.hang:
            await asyncio.sleep(GUARD_S)
        if self.raw:
            writer.write(self.raw)
            return
        is_health = path == "/health"
        body, status = (b"", self.health) if is_health else (self.text, self.status)
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        if not self.drip:
            writer.write(head + body)
            return
        for byte in head + body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self.drip)

    @asynccontextmanager
    async def run(self, **target):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        endpoint = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        self.target = Target(
            endpoint, **{"health_path": "/health", "metrics_path": "/m", "read": read, **target}
        )
        self.server = server
        try:
            yield self
        finally:
            server.close()


class Looks:
    """Keeps the looks at each endpoint."""

    def __init__(self):
        self.all = {}

    def __call__(self, looks):
        for look in looks:
            self.all.setdefault(look.endpoint, []).append(look)

    def faults(self, engine):
        return [look.fault for look in self.all.get(engine.target.endpoint, [])]

    def are_good(self, engine):
        """Three in a row: where others hold it up there are none."""
        return self.faults(engine)[-3:] == ["", "", ""]

    def last(self, engine):
        return self.all.get(engine.target.endpoint, [None])[-1]


@asynccontextmanager
async def looking(*targets, deadline_s=GUARD_S, **options):
    looks = Looks()
    scraper = Scraper(looks, deadline_s=deadline_s, first_s=0.01, **options)
    scraper.aim([getattr(target, "target", target) for target in targets])
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scraper.run())
        looks.scraper = scraper
        yield looks
        running.cancel()


@asynccontextmanager
async def running(*engines):
    async with AsyncExitStack() as stack:
        for engine in engines:
            await stack.enter_async_context(engine.run())
        yield engines


def has_one_for_metrics(engine):
    """One connection, and a new one for each look at its health, of which the last may not be asked yet."""
    return engine.connections <= 1 + engine.asked.count("/health") + 1


async def test_the_load_again_and_again_on_one_connection():
    async with running(Engine()) as (engine,):
        before = monotonic()
        async with looking(engine) as looks:
            await until(lambda: len(looks.faults(engine)) >= 4)
            engine.text = b"running 7"
            await until(lambda: looks.last(engine).load == Load(running=7))
    found = looks.all[engine.target.endpoint]
    assert found[0].load == Load(running=3)
    assert {look.fault for look in found} == {""}
    times = [before, *(look.at_s for look in found), monotonic()]
    assert times == sorted(times)
    most = 2 + (times[-1] - before) / (FAST_S * (HEALTH_EVERY - 1))
    assert engine.asked.count("/health") <= most, "about once a second"
    assert has_one_for_metrics(engine)


async def test_rates_come_from_successive_looks():
    class Learner:
        def __init__(self):
            self.seen = []

        def look(self, load, at_s):
            self.seen.append((load.running, at_s))
            return Rates(float(len(self.seen)))

    async with running(Engine()) as (engine,), looking(engine, learner=Learner) as looks:
        await until(lambda: len(looks.faults(engine)) >= 3)
        found = looks.all[engine.target.endpoint][:3]
        assert [look.rates.prefill_tokens_per_s for look in found] == [1.0, 2.0, 3.0]


async def test_one_that_tells_no_load_lives_all_the_same():
    garbage, gone, none = Engine(b"<html>"), Engine(), Engine()
    gone.status = 404
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(garbage.run())
        await stack.enter_async_context(gone.run())
        await stack.enter_async_context(none.run(metrics_path=""))
        async with looking(garbage, gone, none) as looks:
            for engine in (garbage, gone, none):
                await until(partial(looks.faults, engine))
                assert looks.last(engine).fault == "unreadable"
                assert looks.last(engine).load == Load()
    assert set(none.asked) == {"/health"}


async def test_a_health_page_that_says_no_counts_whatever_the_metrics_say():
    sick = Engine(health=503), Engine(b"", health=500), Engine(health=404)
    async with running(*sick) as engines, looking(*engines) as looks:
        for engine in engines:
            await until(partial(looks.faults, engine))
        assert [looks.faults(engine)[0] for engine in engines] == ["status", "status", ""]
        engines[0].health = 200
        await until(lambda: looks.last(engines[0]).fault == "")


async def test_redirects_are_not_followed():
    """An engine must not choose which inner addresses are asked."""
    async with running(Engine(), Engine()) as (here, there):
        here.raw = (
            f"HTTP/1.1 302 X\r\nLocation: http://{there.target.endpoint}/secret\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        async with looking(here) as looks:
            await until(lambda: looks.faults(here))
            assert looks.last(here).fault == "unreadable"
    assert not there.asked


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ({"hang": True}, "timeout"),
        ({"drip": 0.02}, "timeout"),
        ({"raw": b"SSH-2.0-OpenSSH_9\r\n\r\n"}, "broken"),
        ({"raw": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"}, "broken"),
    ],
)
async def test_one_that_misbehaves_is_told_of_and_asked_less_often_until_it_is_well(
    behaviour, fault
):
    async with running(Engine(), Engine()) as (bad, well):
        for name, value in behaviour.items():
            setattr(bad, name, value)
        async with looking(bad, well, deadline_s=DEADLINE_S) as looks:
            await until(lambda: looks.faults(bad)[-2:] == [fault, fault])
            assert "" not in looks.faults(bad)
            await until(lambda: looks.are_good(well))
            await until(lambda: len(looks.faults(well)) > len(looks.faults(bad)))
            bad.hang = bad.drip = bad.raw = None
            bad.text = b"running 1"
            await until(lambda: looks.last(bad).fault == "")


async def test_one_whose_metrics_are_too_long_lives():
    """vLLM has a line more for each set of adapters that has ever run."""
    async with running(Engine(b"x" * 3_000_000)) as (engine,), looking(engine) as looks:
        await until(lambda: looks.faults(engine) == ["unreadable"] * 2)
        assert "/health" in engine.asked


async def test_one_that_refuses_and_comes_back():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # nobody else has it, and nobody is let in before somebody listens
    endpoint = "127.0.0.1:{1}".format(*taken.getsockname())
    target = Target(endpoint, "/health", "/m", read)
    async with looking(target) as looks:
        await until(lambda: endpoint in looks.all)
        assert looks.all[endpoint][0].fault == "refused"
        async with await asyncio.start_server(Engine().serve, sock=taken):
            await until(lambda: looks.all[endpoint][-1].fault == "")


async def test_one_that_takes_no_new_connections_is_noticed_though_an_old_one_is_served():
    async with running(Engine()) as (engine,), looking(engine) as looks:
        await until(lambda: looks.faults(engine))
        engine.server.close()
        await until(lambda: looks.last(engine).fault == "refused")


async def test_many_that_hang_delay_nobody():
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(150)]
        hanging = [
            Target("{}:{}".format(*each.getsockname()), "/health", "/m", read) for each in silent
        ]
        async with (
            running(Engine()) as (well,),
            looking(*hanging, well, deadline_s=DEADLINE_S) as looks,
        ):
            await until(lambda: len(looks.all) == 151)
            await until(lambda: looks.are_good(well))
            assert {looks.all[each.endpoint][0].fault for each in hanging} == {"timeout"}


async def test_targets_may_change_and_those_that_stay_go_on():
    three = running(Engine(), Engine(), Engine())
    async with three as (stays, goes, comes), looking(stays, goes) as looks:
        await until(lambda: looks.faults(stays) and looks.faults(goes))
        looks.scraper.aim([stays.target, comes.target])
        await until(lambda: looks.faults(comes))
        count, before = len(looks.faults(goes)), len(looks.faults(stays))
        await until(lambda: len(looks.faults(stays)) >= before + 3)
        assert len(looks.faults(goes)) <= count + 1
    assert has_one_for_metrics(stays)


async def test_a_process_that_is_late_itself_blames_nobody():
    """Not even one that hangs: its answer may be waiting in a socket."""
    times = iter(range(10_000))

    def clock():
        return float(next(times))  # each look at the clock is a second later

    async with running(Engine()) as (engine,):
        engine.hang = True
        async with looking(engine, deadline_s=DEADLINE_S, clock=clock) as looks:
            await until(lambda: len(engine.asked) >= 2)
    assert not looks.faults(engine)
