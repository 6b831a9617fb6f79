"""Bans that processes share: `guards.base.Bans` in Redis or Valkey.

Three keys beside the counters': the bans, when each ends, and when each was changed, so that a look
that finds nothing new costs nothing. Times are the server's.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import cast

import hiredis
import msgspec

from extproc.guards.base import (
    DAY_MS,
    LONGEST_ROW,
    MOST_BANS,
    Ban,
    Barred,
    Case,
    Growth,
    News,
)
from extproc.stores.counters_redis import PREFIX, Caller, Script, check
from extproc.stores.redis_address import read_url
from extproc.stores.redis_line import open_line
from extproc.stores.redis_wire import Command, Reply

DEADLINE_S = 1.0
"""No request waits for it."""
PAGE = 500
"""Bans in one answer: the server, which does one thing at a time, is busy with them for 1 ms."""
OVERLAP_US = 1_000_000
"""Changes are asked for from so long before the last one: after a failover the clock may be another."""


class Document(msgspec.Struct, frozen=True):
    """A ban as it is kept."""

    since_ms: int
    until_ms: int
    times: int
    why: str
    shadow: bool

    def ban(self, subject: str, barred: Barred, now_ms: int) -> Ban:
        case = Case(subject, barred, self.why, self.shadow)
        return Ban(case, self.since_ms, max(0, self.until_ms - now_ms) / 1000, self.times)


decode = msgspec.json.Decoder(Document).decode


class RedisBans:
    """Implements `Bans`. All methods take one call, but `read` when there is much to tell."""

    def __init__(
        self,
        line: Caller,
        prefix: str = PREFIX,
        clock: Callable[[], int] | None = None,
        most: int = MOST_BANS,
    ) -> None:
        """`clock` is for tests: milliseconds since 1970, in place of the server's own."""
        self._line = line
        self._clock = clock
        self._most = most
        self._keys = [f"{prefix}g:{name}" for name in ("bans", "ends", "changes")]
        self._put_script, self._read_script = read_script("put"), read_script("read")

    async def add(self, case: Case, growth: Growth) -> Ban | None:
        first_ms, longest_ms = growth.first_s * 1000, growth.longest_s * 1000
        in_force, ban = await self._put("add", case, first_ms, growth.factor, longest_ms)
        return None if in_force else ban

    async def put(self, case: Case, length_s: float) -> Ban:
        _, ban = await self._put("put", case, int(length_s * 1000))
        assert ban, "we have just written it"
        return ban

    async def lift(self, case: Case) -> bool:
        return (await self._put("lift", case, 0))[0]

    async def read(self, seen: int = 0) -> News:
        bans: list[Ban] = []
        since, size = max(0, seen - OVERLAP_US), PAGE
        while size == PAGE:
            since, size, page = await self._read_page(since)
            bans += page
        return News(bans, max(seen, since))

    async def _read_page(self, since: int) -> tuple[int, int, list[Ban]]:
        """Read the changes after one; say which was the last of them, and how many there were."""
        keys = [self._keys[0], self._keys[2]]
        reply = await self._run(self._read_script, keys, since, PAGE, self._now_us())
        now_ms, last, *found = cast("list[bytes | int]", reply)
        pairs = zip(cast("list[bytes]", found[::2]), cast("list[bytes]", found[1::2]), strict=True)
        bans = (read_ban(name, packed, int(now_ms)) for name, packed in pairs)
        return int(float(last)), len(found) // 2, [ban for ban in bans if ban]

    async def _put(
        self, how: str, case: Case, first_ms: float, factor: float = 1, longest_ms: float = 0
    ) -> tuple[bool, Ban | None]:
        reply = await self._run(
            self._put_script,
            self._keys,
            *(how, case.name, case.why, int(case.shadow)),
            *(repr(first_ms), repr(factor), repr(longest_ms)),
            *(DAY_MS, LONGEST_ROW, self._most, self._now_us()),
        )
        in_force, packed, now_ms = cast("tuple[int, bytes, int]", reply)
        return in_force == 1, read_ban(case.name.encode(), packed, now_ms)

    def _now_us(self) -> int:
        """0: the server is to look at its own clock."""
        return self._clock() * 1000 if self._clock else 0

    async def _run(self, script: Script, keys: Sequence[str], *arguments: str | int) -> Reply:
        rest: Command = (len(keys), *keys, *arguments)
        reply = await self._line.call(("EVALSHA", script.digest, *rest))
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._line.call(("EVAL", script.text, *rest))
        return check(reply)


def read_script(name: str) -> Script:
    text = (resources.files("extproc.stores") / f"bans_{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


def read_ban(name: bytes, packed: bytes, now_ms: int) -> Ban | None:
    """Read what was kept; None for what another version has written, and we cannot read."""
    try:
        barred, _, subject = name.decode().partition(":")
        return decode(packed).ban(subject, Barred(barred), now_ms)
    except (ValueError, msgspec.MsgspecError):
        return None


@asynccontextmanager
async def open_bans(
    url: str,
    deadline_s: float = DEADLINE_S,
    prefix: str = PREFIX,
    clock: Callable[[], int] | None = None,
    most: int = MOST_BANS,
) -> AsyncGenerator[RedisBans]:
    """Have bans for the time of the block. Does not wait for the server.

    Raises:
        ValueError, OSError: There is something wrong with the URL.
    """
    async with open_line(read_url(url), prefix, deadline_s) as line:
        yield RedisBans(line, prefix, clock, most)
