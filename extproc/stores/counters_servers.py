"""The counters of one server, or of a common one and of shards: whatever the URLs name."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from extproc.limits.base import Counters
from extproc.stores.counters_redis import open_counters
from extproc.stores.counters_sharded import ShardedCounters, home
from extproc.stores.redis_line import DEADLINE_S


@asynccontextmanager
async def open_servers(
    urls: Sequence[str], deadline_s: float = DEADLINE_S
) -> AsyncGenerator[Counters]:
    """Have counters for the time of the block: the first URL is the common one, the others are shards,
    in an order that must stay. Raises: ValueError, OSError."""
    async with AsyncExitStack() as opened:
        common = await opened.enter_async_context(open_counters(urls[0], deadline_s))
        shards = [
            await opened.enter_async_context(
                open_counters(url, deadline_s, prefix=f"{{headgate-{number}}}:")
            )
            for number, url in enumerate(urls[1:], 1)
        ]
        yield ShardedCounters(common, shards, home) if shards else common
