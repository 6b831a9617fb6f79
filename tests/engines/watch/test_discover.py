"""All sources of all pools, kept up to date."""

import asyncio
from contextlib import asynccontextmanager

from engines.watch.config import Dns, Kubernetes, Pool, Static
from engines.watch.discover import Discovery
from engines.watch.roster import Roster
from tests.engines.watch.test_kubernetes import ApiServer
from tests.engines.watch.test_slices import endpoint, piece
from tests.engines.watch.waiting import GUARD_S, until

A = "10.0.0.1:1"


@asynccontextmanager
async def discovering():
    changes = []
    discovery = Discovery(Roster(), lambda: changes.append(1))
    discovery.changes = changes
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(discovery.run())
        await asyncio.sleep(0)
        yield discovery
        running.cancel()


def named(discovery, pool="p"):
    members = discovery.roster.members().pools.get(pool, ())
    return {m.endpoint: (m.state, m.role) for m in members}


async def test_static_ones_are_there_at_once_with_their_roles():
    async with discovering() as discovery:
        discovery.aim([Pool("p", "vllm", (Static(A), Static("10.0.0.2:1", "decode")))])
        assert named(discovery) == {A: ("ready", "both"), "10.0.0.2:1": ("ready", "decode")}
        discovery.aim([])
        assert discovery.roster.members().pools == {}
        assert not discovery.changes


async def test_sources_come_and_go_and_those_that_stay_go_on():
    server = ApiServer(piece("a", endpoint("10.0.0.7")))
    async with server.run() as url, discovering() as discovery:
        slices = Kubernetes("llm", "vllm", api=url, role="prefill")
        dns = Dns("127.0.0.1", 80, 0.01)
        discovery.aim([Pool("p", "vllm", (Static(A),), (dns,), (slices,))])
        await until(lambda: len(named(discovery)) == 3)
        assert named(discovery) == {
            A: ("ready", "both"),
            "127.0.0.1:80": ("ready", "both"),
            "10.0.0.7:8000": ("ready", "prefill"),
        }
        assert len(discovery.changes) == 2
        discovery.aim([Pool("p", "vllm", (), (), (slices,))])
        assert named(discovery) == {"10.0.0.7:8000": ("ready", "prefill")}
        server.say("ADDED", piece("b", endpoint("10.0.0.8")))
        await until(lambda: len(named(discovery)) == 2)
        assert server.lists == 1
        discovery.aim([Pool("p", "vllm", (Static(A),))])
        await asyncio.sleep(0)
        assert named(discovery) == {A: ("ready", "both")}
