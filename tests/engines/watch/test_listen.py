"""Hearing KV events over real sockets."""

from collections import Counter
from contextlib import asynccontextmanager

import msgspec
import pytest
import zmq

from engines.blocks import chain_bytes, token_bytes
from engines.watch.kv import Cache
from engines.watch.listen import Listener
from tests.engines.watch.publisher import publishing
from tests.engines.watch.waiting import until


def blocks(*starts):
    return [chain_bytes("", token_bytes(range(s, s + 4)), 16)[0] for s in starts]


class Heard:
    """A cache, its listener, and how batches came."""

    def __init__(self, context, publisher, *, replays=True):
        events, replay = (f"tcp://127.0.0.1:{port}" for port in publisher.ports)
        self.cache, self.count = Cache(), Counter()
        self.listener = Listener(
            context, self.cache, events, replay if replays else "", self.counted
        )

    def counted(self, how, batches):
        self.count[how] += batches

    async def holds(self, *starts):
        await until(lambda: list(self.cache.hashes()) == blocks(*starts))


@asynccontextmanager
async def hearing(publisher, **options):
    context = zmq.Context()
    heard = Heard(context, publisher, **options)
    heard.listener.open()
    try:
        yield heard
    finally:
        heard.listener.close()
        context.destroy(linger=0)


async def connected(publisher, heard):
    """Wait until what is published is heard: a subscription takes its time."""
    publisher.send(b"\xc0")

    def arrives():
        if heard.count["lost"]:
            return True
        publisher.send(b"\xc0")
        return False

    await until(arrives)
    heard.count.clear()


async def test_history_and_then_what_is_published():
    async with publishing() as publisher:
        publisher.store(0, 1, 2)
        async with hearing(publisher) as heard:
            await heard.holds(0, 4)
            assert heard.count == {"replayed": 2, "lost": 0}
            publisher.store(8, 3)
            await heard.holds(0, 4, 8)
            assert publisher.asked[0] == 0


async def test_a_gap_is_filled():
    async with publishing() as publisher:
        publisher.store(0, 1)
        async with hearing(publisher) as heard:
            await heard.holds(0)
            publisher.store(4, 2)
            await heard.holds(0, 4)
            publisher.deaf = True
            publisher.store(8, 3, 4)
            publisher.deaf = False
            publisher.store(16, 5)
            await heard.holds(0, 4, 8, 12, 16)
            assert publisher.asked[-1] <= 2
            assert heard.count["lost"] == 0


async def test_a_gap_larger_than_the_buffer_makes_all_unknown_but_the_rest():
    async with publishing(keep=2) as publisher:
        publisher.store(0, 1)
        async with hearing(publisher) as heard:
            await heard.holds(0)
            publisher.store(4, 2)
            await heard.holds(0, 4)
            publisher.deaf = True
            publisher.store(8, *range(10, 20))
            publisher.deaf = False
            publisher.store(48, 20)
            await heard.holds(44, 48)
            assert heard.count["lost"] == 9


async def test_an_engine_that_was_started_again():
    async with publishing() as publisher:
        publisher.store(0, 1, 2, 3)
        async with hearing(publisher) as heard:
            await heard.holds(0, 4, 8)
            publisher.store(12, 4)
            await heard.holds(0, 4, 8, 12)
            await publisher.restart()
            publisher.store(100, 1)
            heard.listener.resync()
            await heard.holds(100)

            def published():
                publisher.store(104, 2)
                return len(heard.cache) > 1

            await until(published)


async def test_without_replay_only_what_is_published_is_known():
    async with publishing() as publisher:
        publisher.store(0, 1)
        async with hearing(publisher, replays=False) as heard:
            await connected(publisher, heard)
            publisher.store(4, 2)
            await until(lambda: blocks(4)[0] in heard.cache.hashes())
            assert not publisher.asked


def pack(event):
    return msgspec.msgpack.encode([1.0, [event], 0])


DEEP = b"\x91" * 3000 + b"\xc0"
"""Lists within lists, more of them than anybody reads."""
STORED = {"type": "BlockStored", "block_hashes": [1], "parent_block_hash": None, "token_ids": [1]}


@pytest.mark.parametrize(
    "nonsense",
    [b"nonsense", pack(STORED | {"block_size": 1, "extra_keys": [[msgspec.Raw(DEEP)]]})],
)
async def test_a_batch_that_makes_no_sense_makes_all_unknown(nonsense):
    async with publishing() as publisher:
        publisher.store(0, 1)
        async with hearing(publisher) as heard:
            await heard.holds(0)
            publisher.send(nonsense)
            publisher.deaf = False
            publisher.store(4, 2)
            await heard.holds(4)
            assert heard.count["lost"] == 1


async def test_many_batches_at_once():
    async with publishing(keep=2000) as publisher:
        publisher.store(0, *range(1000))
        async with hearing(publisher) as heard:
            await until(lambda: len(heard.cache) == 1000)
            publisher.store(4000, *range(1000, 2000))
            await until(lambda: len(heard.cache) == 2000)
            assert heard.count["lost"] == 0


async def test_without_a_descriptor_for_what_was_missed_that_is_lost_and_the_rest_is_heard():
    async with publishing() as publisher:
        publisher.store(0, 1)
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 1)  # as EMFILE: there is one for what is published
        heard = Heard(context, publisher)
        heard.listener.open()
        try:
            await connected(publisher, heard)
            publisher.store(4, 2)
            await heard.holds(4)
            publisher.deaf = True
            publisher.store(8, 3)
            publisher.deaf = False
            publisher.store(12, 4)
            await heard.holds(12)
            assert heard.count["lost"] == 1
            assert not publisher.asked
        finally:
            heard.listener.close()
            context.destroy(linger=0)


async def test_without_any_descriptor_it_is_deaf_until_there_is_one():
    async with publishing() as publisher:
        publisher.store(0, 1)
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 2)
        taken = [context.socket(zmq.SUB) for _ in range(2)]
        heard = Heard(context, publisher)
        try:
            heard.listener.open()
            assert heard.count["lost"] == 1
            for socket in taken:
                socket.close(linger=0)

            def hears():  # a socket is closed a moment later
                if heard.listener._dealer is None and not heard.cache:
                    heard.listener.resync()
                return len(heard.cache)

            await until(hears)
            assert list(heard.cache.hashes()) == blocks(0)
        finally:
            heard.listener.close()
            context.destroy(linger=0)


@pytest.mark.parametrize("opens", [True, False])
async def test_closing_leaves_nothing(opens):
    context = zmq.Context()
    async with publishing() as publisher:
        heard = Heard(context, publisher)
        if opens:
            heard.listener.open()
        heard.listener.close()
        heard.listener.close()
    context.term()
