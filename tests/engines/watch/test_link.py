"""The other end of the hub: what a worker's side does on its own. Together: test_hub.py."""

import asyncio

from engines.watch.frames import frame
from engines.watch.link import BEHIND_BYTES, GATHER_S, Link
from engines.watch.messages import Running
from tests.engines.watch.waiting import GUARD_S, until


async def test_what_is_said_in_one_turn_goes_out_at_once_and_in_order(tmp_path):
    path = tmp_path / "watch.sock"
    pieces = []

    async def hear(reader, writer):
        while piece := await reader.read(2**16):
            pieces.append(piece)
        writer.close()

    server = await asyncio.start_unix_server(hear, path)
    link = Link(path, print)
    link.send(frame(Running("lost")))
    async with asyncio.timeout(GUARD_S), server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.is_up)
        sent = [frame(Running(str(number))) for number in range(50)]
        for piece in sent:
            link.send(piece)
        await until(lambda: pieces)
        assert pieces == [b"".join(sent)]
        running.cancel()


async def test_a_hub_that_talks_nonsense_is_left_and_tried_again(tmp_path):
    path = tmp_path / "watch.sock"
    turns = []

    async def talk(reader, writer):
        turns.append(frame(Running("x")) if turns else b"\xff" * 8)
        writer.write(turns[-1])
        await reader.read()
        writer.close()

    heard = []
    link = Link(path, heard.append)
    server = await asyncio.start_unix_server(talk, path)
    async with asyncio.timeout(GUARD_S), server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: heard)
        assert heard == [Running("x")]
        running.cancel()


async def test_a_hub_that_reads_nothing_is_left_before_much_is_kept_for_it(tmp_path):
    path, changes, deaf = tmp_path / "watch.sock", [], []

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport):
            transport.pause_reading()
            deaf.append(transport)

    server = await asyncio.get_running_loop().create_unix_server(Deaf, path)
    link = Link(path, print, changes.append)
    piece = frame(Running("x" * 2**20))
    async with asyncio.timeout(GUARD_S), server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(link.run())
        await until(lambda: link.is_up)
        for _ in range(10 * BEHIND_BYTES // len(piece)):
            if False not in changes:
                link.send(piece)
                await asyncio.sleep(GATHER_S)
        await until(lambda: False in changes)
        await until(lambda: changes == [True, False, True])
        running.cancel()
    for transport in deaf:
        transport.abort()
