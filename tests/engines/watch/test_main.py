"""The watch process as a whole, in this one: what its parts tell in which order."""

import asyncio

from engines.watch.__main__ import Watch
from engines.watch.config import NAME, Config, KvEvents, Pool, Static, write_config
from engines.watch.hub import NAME as SOCKET
from engines.watch.link import Link
from engines.watch.messages import Members, Stored
from tests.engines.watch.publisher import publishing
from tests.engines.watch.waiting import GUARD_S, until

ENGINE = "127.0.0.1:1"


async def test_who_belongs_to_a_pool_is_told_before_what_their_caches_hold(tmp_path):
    run, heard = tmp_path / "run", []
    stop, link = asyncio.Event(), Link(run / SOCKET, heard.append)

    def found(pool):
        return [each for each in heard if isinstance(each, Stored) and each.pool == pool]

    async with (
        asyncio.timeout(GUARD_S),
        publishing() as engine,
        asyncio.TaskGroup() as tasks,
    ):
        both = [
            Pool(name, "vllm", (Static(ENGINE),), kv_events=KvEvents(*engine.ports))
            for name in ("p", "q")
        ]
        write_config(run / NAME, Config("1", (both[0],)))
        tasks.create_task(Watch(tmp_path).run(stop))
        listening = tasks.create_task(link.run())
        engine.store(0, 1)
        await until(lambda: any(each.stored for each in found("p")))
        write_config(run / NAME, Config("2", tuple(both)))
        await until(lambda: any(each.stored for each in found("q")))
        stop.set()
        listening.cancel()
    known = next(
        i for i, each in enumerate(heard) if isinstance(each, Members) and "q" in each.pools
    )
    assert known < heard.index(found("q")[0]), "what is told of strangers is not kept"
