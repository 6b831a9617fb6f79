"""Where workers meet, over real unix sockets."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from engines.exposition import MOST_BUCKETS
from engines.load import Load
from engines.vllm import read_load
from engines.watch.frames import Frames, frame
from engines.watch.hub import AT_ONCE, Hub
from engines.watch.link import Link
from engines.watch.messages import (
    Ended,
    Look,
    Looks,
    Member,
    Members,
    Picked,
    Running,
    Stored,
)
from tests.engines.watch.waiting import GUARD_S, until

A, B = "10.0.0.1:1", "10.0.0.2:1"
MEMBERS = Members({"p": (Member(A), Member(B))})
PICKED = Picked("k", "p", A, 1.0, 100, 0, (1, 2))


class Worker:
    """Keeps what it hears; `changes` are the times the hub came and went."""

    def __init__(self, path):
        self.heard, self.changes = [], []
        self.link = Link(path, self.heard.append, self.changes.append)

    def say(self, *messages):
        for message in messages:
            self.link.send(frame(message))

    def looks(self):
        return [each for m in self.heard if isinstance(m, Looks) for each in m.looks]


@asynccontextmanager
async def connected(path, count=2):
    workers = [Worker(path) for _ in range(count)]
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(worker.link.run()) for worker in workers]
        # Not only connected: the hub knows of each, for the first thing it does is to tell.
        await until(lambda: all(worker.heard for worker in workers))
        yield workers
        for task in running:
            task.cancel()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "watch.sock"


async def test_whoever_comes_is_told_all_there_is(path):
    caches = [[Stored("p", A, (1, 2), cleared=True), Stored("p", A, (3,))], [Stored("p", B)]]
    hub = Hub(lambda: caches)
    hub.tell_members(MEMBERS)
    hub.tell_looks([Look(A, 1.0, "", Load(running=1))])
    hub.tell_looks([Look(A, 2.0, "", Load(running=2)), Look(B, 2.0, "refused")])
    async with hub.serving(path), connected(path, 1) as (worker,):
        assert oct(path.stat().st_mode)[-3:] == "600"
        await until(lambda: len(worker.heard) == 5)
        assert worker.heard == [
            MEMBERS,
            Looks((Look(A, 2.0, "", Load(running=2)), Look(B, 2.0, "refused"))),
            *caches[0],
            *caches[1],
        ]


async def test_then_what_changes(path):
    hub = Hub()
    async with hub.serving(path), connected(path) as workers:
        hub.tell_members(MEMBERS)
        hub.tell_looks([Look(A, 1.0)])
        hub.tell_stored(Stored("p", A, (1,)))
        for worker in workers:
            await until(lambda worker=worker: len(worker.heard) == 4)
            assert worker.heard[1:] == [MEMBERS, Looks((Look(A, 1.0),)), Stored("p", A, (1,))]


async def test_looks_of_those_that_are_gone_are_not_kept(path):
    hub = Hub()
    hub.tell_members(MEMBERS)
    hub.tell_looks([Look(A, 1.0), Look(B, 1.0)])
    hub.tell_members(Members({"p": (Member(B),)}))
    async with hub.serving(path), connected(path, 1) as (worker,):
        await until(worker.looks)
        assert worker.looks() == [Look(B, 1.0)]


LISTS = "running_lora_adapters", "waiting_lora_adapters"
BUCKETS = b"".join(
    b'vllm:time_to_first_token_seconds_bucket{le="%d.123"} 1\n' % n for n in range(MOST_BUCKETS)
)


@pytest.mark.parametrize("letter", [b"a", "\N{GRINNING FACE}".encode(), b"\xff"])
@pytest.mark.parametrize("length", [1, 1000])
async def test_looks_that_are_told_together_fit_into_a_message_whatever_engines_say(letter, length):
    named = (letter * length + b",") * (1_000_000 // length // len(letter))
    lists = b",".join(b'%s="%s"' % (name.encode(), named) for name in LISTS)
    text = b"vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
    load = read_load(b"%b%bvllm:lora_requests_info{%b} 1\n" % (text, BUCKETS, lists))
    assert load.adapters.running
    assert load.adapters.waiting
    assert len(load.ttft_buckets) == MOST_BUCKETS
    looks = Looks(AT_ONCE * (Look("h" * 253 + ":65535", 1.0, "", load),))
    assert list(Frames().feed(frame(looks)))


async def test_many_looks_come_in_parts(path):
    hub = Hub()
    hub.tell_members(Members({"p": tuple(Member(f"h:{n}") for n in range(300))}))
    hub.tell_looks([Look(f"h:{n}", 1.0) for n in range(300)])
    async with hub.serving(path), connected(path, 1) as (worker,):
        await until(lambda: len(worker.looks()) == 300)
        whole, rest = divmod(300, AT_ONCE)
        assert [len(m.looks) for m in worker.heard[1:]] == [*[AT_ONCE] * whole, rest]


async def test_what_a_worker_says_reaches_all_others(path):
    ended = Ended("k", "p", A, 2.0, 200, 1.0)
    async with Hub().serving(path), connected(path, 3) as (one, *others):
        one.say(PICKED, Running("k"), ended)
        for other in others:
            await until(lambda other=other: len(other.heard) == 4)
            assert other.heard[1:] == [PICKED, Running("k"), ended]
        others[0].say(Picked("j", "p", B, 1.0, 1, 0))
        await until(lambda: len(one.heard) == 2)
        assert one.heard[1].key == "j", "its own words do not come back"


async def test_one_that_comes_later_learns_what_is_under_way(path):
    hub = Hub()
    async with hub.serving(path), connected(path) as (one, other):
        one.say(PICKED, Picked("j", "p", B, 1.0, 1, 0), Ended("j", "p", B, 1.0, 200, 0.0))
        await until(lambda: len(other.heard) == 4)
        other.say(PICKED)  # as after a reconnect
        async with connected(path, 1) as (late,):
            await until(lambda: len(late.heard) == 2)
            assert late.heard[1] == Picked("k", "p", A, 1.0, 100, 0), "without its blocks"
        one.say(Running("k"))
        await until(lambda: len(other.heard) == 5)
        assert one.heard == [Members({})], "what is known already is not passed on again"


async def test_a_pick_whose_end_came_first_still_says_what_is_cached(path):
    ended = Ended("k", "p", A, 2.0, 200, 1.0)
    async with Hub().serving(path), connected(path, 3) as (one, other, third):
        other.say(ended)
        await until(lambda: len(one.heard) == 2)
        one.say(PICKED)
        one.say(Picked("k", "p", A, 1.0, 100, 0))  # as after a reconnect
        one.say(Running("last"))
        await until(lambda: len(third.heard) == 4)
        assert third.heard[1:] == [ended, PICKED, Running("last")]


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", frame(MEMBERS), b"\xff" * 9])
async def test_whoever_talks_nonsense_is_cut_off_and_the_others_go_on(path, caplog, said):
    async with Hub().serving(path), connected(path) as (one, other):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)
        async with asyncio.timeout(GUARD_S):
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        one.say(PICKED)
        await until(lambda: PICKED in other.heard)
    assert [record.message for record in caplog.records] == ["watch_peer_cut"]


async def test_one_that_does_not_read_is_cut_off_and_the_others_hear_all(path, caplog):
    hub = Hub()
    stored = Stored("p", A, tuple(range(2**63, 2**63 + 100_000)))
    async with hub.serving(path), connected(path, 1) as (well,):
        lazy = socket.socket(socket.AF_UNIX)
        lazy.connect(str(path))
        await asyncio.sleep(0.05)
        for number in range(40):
            hub.tell_stored(stored)
            await until(lambda number=number: len(well.heard) > 1 + number)
        lazy.close()
    assert [record.message for record in caplog.records] == ["watch_peer_cut"]


async def test_all_there_is_may_be_more_than_a_socket_takes(path):
    """Told piece by piece, as fast as it is read: nobody is cut off for it."""
    caches = [[Stored("p", f"h:{n}", tuple(range(2**62, 2**62 + 50_000)))] for n in range(60)]
    hub = Hub(lambda: caches)
    async with hub.serving(path), connected(path, 1) as (worker,):
        await until(lambda: len(worker.heard) == 61)
        assert worker.heard[-1].endpoint == "h:59"
        assert worker.changes == [True]


async def test_a_hub_that_is_started_again(path):
    async with connected_to_nobody(path) as worker:
        for _ in range(2):
            async with Hub().serving(path):
                await until(lambda: worker.link.is_up)
                worker.say(PICKED)
            await until(lambda: not worker.link.is_up)
            worker.say(PICKED)  # lost, and no fault
        assert worker.changes == [True, False, True, False]
    assert not path.exists()


@asynccontextmanager
async def connected_to_nobody(path):
    worker = Worker(path)
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.link.run())
        yield worker
        running.cancel()


async def test_what_is_left_of_a_killed_one_is_in_nobodys_way(path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    async with Hub().serving(path), connected(path, 1):
        pass
