"""One server or several, by their URLs: over real ones."""

from contextlib import AsyncExitStack

import pytest

from extproc.limits.base import Algorithm, Charge, Limit, Spent, Unit
from extproc.stores.counters_redis import RedisCounters
from extproc.stores.counters_servers import open_servers
from extproc.stores.counters_sharded import ShardedCounters

MINE = Limit(
    name="mine", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.REQUESTS, amount=3, period_s=86400,
    of_tenants=True,
)  # fmt: skip
ALL = Limit(
    name="all", algorithm=Algorithm.SLIDING_WINDOW, unit=Unit.REQUESTS, amount=5, period_s=86400
)


@pytest.mark.parametrize(("servers", "kind"), [(1, RedisCounters), (3, ShardedCounters)])
async def test_what_is_taken_is_found_and_forgotten_wherever_it_lies(servers, kind, valkey):
    async with AsyncExitStack() as opened:
        counters = await opened.enter_async_context(open_servers([valkey.url] * servers, 5.0))
        assert isinstance(counters, kind)
        for number, tenant in enumerate(["acme", "globex", "acme"]):
            charges = [Charge(MINE, tenant, 1), Charge(ALL, "", 1)]
            assert (await counters.reserve(f"k{number}", charges, 30)).admitted
            await counters.settle(f"k{number}", Spent())
        left = await counters.look([(MINE, "acme"), (MINE, "globex"), (ALL, "")])
        assert [one.remaining for one in left] == [1, 2, 2]
        assert sorted(await counters.scopes("mine")) == ["acme", "globex"]
        assert await counters.reset("mine", "acme")
        assert (await counters.look([(MINE, "acme")]))[0].remaining == 3
