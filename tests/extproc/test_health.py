"""Which endpoints answer: real servers on loopback, real probes."""

import asyncio
import socket
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress

from aiohttp import web

from extproc.health import FAILURES, HealthView

GUARD_S = 20
INTERVAL_S = 0.05


class Engine:
    """An engine's health page. `status` may change; `asked` notes the paths."""

    def __init__(self):
        self.status, self.headers = 200, {}
        self.asked, self.endpoint = [], ""
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def answer(self, request):
        self.asked.append(request.path)
        await self.go_on.wait()
        return web.Response(status=self.status, headers=self.headers, body=b"x" * 10)

    @asynccontextmanager
    async def run(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.endpoint = f"127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self.go_on.set()
            await runner.cleanup()


def make(*endpoints, path="/health", tell=None):
    """A view of one pool `p`."""
    view = HealthView(tell) if tell else HealthView()
    view.track({"p": endpoints}, {"p": path})
    return view


class Told:
    """Keeps how many endpoints of each pool were said to be healthy."""

    def __init__(self):
        self.counts = {}
        self.news = asyncio.Event()

    def __call__(self, pool, count):
        self.counts[pool] = count
        self.news.set()

    async def next(self, rounds=1):
        """Wait until all endpoints have been probed once more, or that many times."""
        for _ in range(rounds):
            self.news.clear()
            await self.news.wait()


@asynccontextmanager
async def watching(view):
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as group:
        task = group.create_task(view.watch(INTERVAL_S))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(what):
    while not what():  # noqa: ASYNC110 - a view has no event to wait for
        await asyncio.sleep(0.01)


def closed_port():
    """An endpoint nobody listens at: the port was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_an_endpoint_nobody_probed_is_healthy():
    assert HealthView().healthy(["a:1", "b:1"]) == ["a:1", "b:1"]
    view = make("a:1")
    assert view.healthy(["a:1", "b:1"]) == ["a:1", "b:1"]
    assert view.healthy([]) == []


def test_a_suspect_is_passed_over():
    view = HealthView()
    view.suspect("a:1")
    assert view.healthy(["a:1", "b:1", "c:1"]) == ["b:1", "c:1"]


def test_when_all_are_suspect_all_are_named():
    view = HealthView()
    view.suspect("a:1")
    view.suspect("b:1")
    assert view.healthy(["a:1", "b:1"]) == ["a:1", "b:1"]
    assert view.healthy(["a:1"]) == ["a:1"]


@asynccontextmanager
async def running(count):
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Engine().run()) for _ in range(count)]


async def test_probes_tell_sick_from_well_and_notice_a_change(caplog):
    async with running(4) as (one, two, slow, doubted):
        two.status = 503
        slow.go_on.clear()
        dead = closed_port()
        everyone = [one.endpoint, two.endpoint, slow.endpoint, dead, doubted.endpoint]
        view = make(*everyone)
        assert view.healthy(everyone) == everyone
        async with watching(view):
            await until(lambda: view.healthy(everyone[:4]) == [one.endpoint])
            view.suspect(doubted.endpoint)
            assert view.healthy(everyone) == [one.endpoint]
            two_left = [two.endpoint, slow.endpoint]
            assert view.healthy([*two_left, dead]) == two_left, "doubt never empties a pool"
            assert view.healthy([dead]) == [], "one that refuses is never named"

            one.status, two.status = 500, 404
            slow.go_on.set()
            well_again = [two.endpoint, slow.endpoint, doubted.endpoint]
            await until(lambda: view.healthy(everyone) == well_again)
        assert set(one.asked) == {"/health"}
    events = [(record.message, record.endpoint) for record in caplog.records]
    assert events.count(("endpoint_unhealthy", one.endpoint)) == 1
    assert events.count(("endpoint_unhealthy", dead)) == 1, "a change is told once"
    assert ("endpoint_healthy", two.endpoint) in events, "4xx is an answer: the engine lives"
    assert doubted.endpoint not in [endpoint for _, endpoint in events], "suspicion just passes"


async def test_what_is_tracked_may_change_while_watching():
    async with running(2) as (one, two):
        one.status = two.status = 503
        view = make(one.endpoint, path="/a")
        async with watching(view):
            both = [one.endpoint, other := "192.0.2.1:1"]
            await until(lambda: view.healthy(both) == [other])
            view.track({"p": [two.endpoint]}, {"p": "/b"})
            assert view.healthy(both) == both, "not ours to judge any more"
            await until(lambda: view.healthy([two.endpoint, other]) == [other])
        assert set(two.asked) == {"/b"}


async def test_one_that_refused_and_is_not_tracked_any_more_is_not_judged():
    dead = closed_port()
    view = make(dead)
    async with watching(view):
        await until(lambda: view.healthy([dead]) == [])
        view.track({"p": []}, {"p": "/health"})
        assert view.healthy([dead]) == [dead]


async def test_one_probe_that_is_not_answered_makes_nobody_sick(caplog):
    """A long prompt may delay an engine's answer by a second."""
    async with running(2) as (one, two):
        one.status = 503
        told = Told()
        view = make(one.endpoint, two.endpoint, tell=told)
        async with watching(view):
            for _ in range(3):  # never two in a row
                one.asked.clear()
                one.status = 503
                await until(lambda: one.asked)
                one.status = 200
                await told.next()
                assert told.counts == {"p": 2}
                await until(lambda: len(one.asked) > 1)
    assert not caplog.records


async def test_one_refused_connection_is_enough():
    async with running(1) as (one,):
        told = Told()
        view = make(one.endpoint, dead := closed_port(), tell=told)
        async with watching(view):
            await told.next()
            assert told.counts == {"p": 1}
            assert view.healthy([dead, one.endpoint]) == [one.endpoint]


async def test_one_that_refused_and_now_hangs_may_be_named_when_nothing_is_left():
    """It has begun to listen: starting, perhaps, and a try is better than a refusal."""
    endpoint = closed_port()
    host, _, port = endpoint.partition(":")
    view = make(endpoint)
    async with watching(view):
        await until(lambda: view.healthy([endpoint]) == [])
        with socket.create_server((host, int(port))):
            await until(lambda: view.healthy([endpoint]) == [endpoint])
            assert view.healthy([endpoint, other := "192.0.2.1:1"]) == [other], "it is sick still"


async def test_each_pool_has_its_own_health_page():
    async with running(2) as (one, two):
        told = Told()
        view = HealthView(told)
        view.track({"p": [one.endpoint], "q": [two.endpoint]}, {"p": "/p", "q": "/q"})
        async with watching(view):
            await told.next()
        assert (one.asked, two.asked) == (["/p"], ["/q"])


async def test_how_many_of_a_pool_are_healthy_is_told_after_each_round():
    async with running(2) as (one, two):
        two.status = 503
        told = Told()
        view = make(one.endpoint, two.endpoint, tell=told)
        assert told.counts == {"p": 2}, "nobody was probed yet"
        async with watching(view):
            await told.next(FAILURES)
            assert told.counts == {"p": 1}
            view.track({"p": [two.endpoint], "q": []}, {"p": "/health", "q": "/health"})
            assert told.counts == {"p": 0, "q": 0}, "at once: what is known stays known"


async def test_probes_do_not_follow_redirects():
    """An engine must not choose which inner addresses the gateway asks."""
    async with running(2) as (here, there):
        here.status, here.headers = 302, {"location": f"http://{there.endpoint}/internal"}
        told = Told()
        view = make(here.endpoint, tell=told)
        async with watching(view):
            await told.next()
            assert view.healthy([here.endpoint]) == [here.endpoint], "it answers"
        assert (here.asked, there.asked) == (["/health"], [])


async def test_many_that_hang_do_not_make_a_well_one_sick():
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(150)]
        hanging = ["{}:{}".format(*each.getsockname()) for each in silent]
        async with running(1) as (well,):
            told = Told()
            view = make(*hanging, well.endpoint, tell=told)
            async with watching(view):
                await told.next(FAILURES)
            assert told.counts == {"p": 1}
            assert view.healthy([*hanging, well.endpoint]) == [well.endpoint]
