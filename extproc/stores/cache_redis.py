"""Kept answers that workers and hosts share: `cache.base.Answers` in Redis or Valkey.

Each answer is a key of its own, with an end. Beside them: when each ends, how large each is, and the
sum, so that what is kept has a bound without one on the server, whose counters must never be evicted.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import cast

import hiredis
import msgspec

from extproc.cache.base import Entry, Holding, place_of
from extproc.stores.counters_redis import PREFIX, Caller, Script, check
from extproc.stores.redis_address import read_url
from extproc.stores.redis_line import open_line
from extproc.stores.redis_wire import Command, Reply

DEADLINE_S = 0.050
"""For one call. Without an answer by then it is a miss."""
MOST_BYTES = 256 * 1024 * 1024
"""Of all answers together."""
PAGE = 500
"""Names in one answer of the server."""

decode = msgspec.msgpack.Decoder(Entry).decode


class RedisAnswers:
    """Implements `Answers`. Reading takes one call, and so does keeping."""

    def __init__(
        self,
        line: Caller,
        most_bytes: int = MOST_BYTES,
        prefix: str = PREFIX,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` is for tests: seconds, in place of the server's own."""
        self._line = line
        self.most_bytes = most_bytes
        self._clock = clock
        self._prefix = f"{prefix}a:"
        self._ends, self._sizes, self._sum = (
            f"{prefix}a{name}" for name in ("ends", "sizes", "sum")
        )
        text = (resources.files("extproc.stores") / "cache_put.lua").read_bytes()
        self._put = Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())

    async def get(self, key: str) -> Entry | None:
        packed = check(await self._line.call(("GET", self._prefix + key)))
        try:
            return decode(packed) if isinstance(packed, bytes) else None
        except msgspec.MsgspecError:
            return None  # another version has written it

    async def put(self, key: str, entry: Entry, keep_s: int) -> int:
        keys = (self._prefix + key, self._ends, self._sizes, self._sum)
        now_ms = int(self._clock() * 1000) if self._clock else 0
        packed = msgspec.msgpack.encode(entry)
        told = (key, packed, keep_s * 1000, self.most_bytes, self._prefix, now_ms)
        return cast("int", await self._run(self._put, (len(keys), *keys, *told)))

    async def purge(self, place: str) -> int:
        count = 0
        for name, size in await self._names():
            if name.startswith(place):
                count += cast("int", check(await self._line.call(("ZREM", self._ends, name))))
                await self._line.call(("UNLINK", self._prefix + name))
                if check(await self._line.call(("HDEL", self._sizes, name))):
                    await self._line.call(("DECRBY", self._sum, size))
        return count

    async def look(self) -> Sequence[Holding]:
        sums: dict[str, list[int]] = {}
        for name, size in await self._names():
            found = sums.setdefault(place_of(name), [0, 0])
            found[0] += 1
            found[1] += size
        return [Holding(place, *found) for place, found in sorted(sums.items())]

    async def _names(self) -> Sequence[tuple[str, int]]:
        """List what has not ended, with its size."""
        now_ms = int(self._clock() * 1000) if self._clock else await self._time_ms()
        found: list[tuple[str, int]] = []
        for start in range(0, 2**31, PAGE):
            page = check(
                await self._line.call(
                    ("ZRANGE", self._ends, f"({now_ms}", "+inf", "BYSCORE", "LIMIT", start, PAGE)
                )
            )
            names = cast("list[bytes]", page)
            if not names:
                break
            sizes = check(await self._line.call(("HMGET", self._sizes, *names)))
            for name, size in zip(names, cast("list[bytes | None]", sizes), strict=True):
                found.append((name.decode(), int(size or 0)))
        return found

    async def _time_ms(self) -> int:
        told = cast("list[bytes]", check(await self._line.call(("TIME",))))
        return int(told[0]) * 1000 + int(told[1]) // 1000

    async def _run(self, script: Script, rest: Command) -> Reply:
        reply = await self._line.call(("EVALSHA", script.digest, *rest))
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._line.call(("EVAL", script.text, *rest))
        return check(reply)


@asynccontextmanager
async def open_answers(
    url: str,
    most_bytes: int = MOST_BYTES,
    deadline_s: float = DEADLINE_S,
    prefix: str = PREFIX,
    clock: Callable[[], float] | None = None,
) -> AsyncGenerator[RedisAnswers]:
    """Have them for the time of the block. Does not wait for the server.

    Raises:
        ValueError, OSError: There is something wrong with the URL.
    """
    async with open_line(read_url(url), prefix, deadline_s) as line:
        yield RedisAnswers(line, most_bytes, prefix, clock)
