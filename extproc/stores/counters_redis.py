"""Counters that processes share: `limits.base.Counters` in Redis or Valkey. One call for each method.

The algorithms run in the server, in Lua (`counters_*.lua`), as one step and by the server's clock. All
keys lie under one hash tag, so a cluster keeps them on one node, which is what makes them exact. Every
key has an end, so that what is idle vanishes.
"""

import hashlib
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Protocol, cast

import hiredis
import msgspec

from extproc.errors import CountersFaultError
from extproc.limits.answers import make_standing, make_verdict
from extproc.limits.base import (
    LONGEST_LEASE_S,
    Charge,
    Limit,
    Place,
    Settlement,
    Spent,
    Standing,
    Ticket,
    Verdict,
)
from extproc.limits.rules import KINDS, MOST_CHARGES, Rules
from extproc.stores.counters_lives import EARLY_US, OPEN_US, SETTLED_US, lease_us, read_clock_us
from extproc.stores.counters_packing import (
    Packer,
    pack_keys,
    pack_name,
    pack_spent,
    pack_ticket,
    unpack_rows,
    unpack_settled,
)
from extproc.stores.redis_address import read_url
from extproc.stores.redis_ear import Ear, open_ear
from extproc.stores.redis_line import DEADLINE_S, open_line
from extproc.stores.redis_wire import Command, Reply

PREFIX = "{headgate}:"
"""Of all keys. What is in braces is the hash tag; another prefix needs one as well."""
RECORD = "r:"
HEADER = struct.Struct("<dddddddBB")
"""Now, lease, slack, the three lives of records, the life of leases, a flag, length of the prefix."""
PARTS = ("common", "bucket", "window", "budget", "semaphore", "record", "lines")
"""Of every script, in this order."""


class Script(msgspec.Struct, frozen=True):
    """One of ours, as the server knows it."""

    text: bytes
    digest: str


def read_script(name: str) -> Script:
    """Put `counters_<name>.lua` and what it begins with together."""
    folder = resources.files("extproc.stores")
    files = [folder / f"counters_{part}.lua" for part in (*PARTS, name)]
    text = b"\n".join(file.read_bytes() for file in files)
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


SLACK_MS = 1000
"""How much longer than needed a key stays: clocks of a server and its replica differ."""
TEST_SLACK_MS = 3600 * 1000
"""With a clock of the caller's, keys must not vanish by the server's."""
LEASES_MS = (LONGEST_LEASE_S + 60) * 1000
"""How long a semaphore's leases stay after the last one came."""
SCAN_COUNT = 1000
LEASES = "l"
"""The kind of key that a semaphore's leases lie under, beside what it has learned."""
QUEUE = "q"
"""The kind of key that a line lies under; see `counters_lines.lua` for what belongs to it."""
PROBE = "probe"
"""What is written to see that it can be."""
TAKEN = "bwml"
"""Kinds that are there only while something is taken."""
GLOB = str.maketrans({char: f"\\{char}" for char in "*?[]^\\-"})


class Caller(Protocol):
    """What `Line` does: sends a command, and waits for the reply within a deadline."""

    async def call(self, command: Command) -> Reply: ...


class RedisCounters:
    """Implements `Counters`."""

    def __init__(
        self,
        line: Caller,
        prefix: str = PREFIX,
        clock: Callable[[], int] | None = None,
        ear: Ear | None = None,
    ) -> None:
        """`clock` is for tests: microseconds since 1970, in place of the server's own. `ear` hears
        whose turn it is."""
        self._line = line
        self._ear = ear
        self._prefix = prefix
        self._prefix_bytes = len(prefix.encode())
        self._clock = clock
        self._rules = Rules()
        self._packer = Packer()
        self._reserve, self._settle = read_script("reserve"), read_script("settle")
        self._renew, self._look = read_script("renew"), read_script("look")
        self._leave = read_script("leave")

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        *,
        late: bool = False,
        ticket: Ticket | None = None,
    ) -> Verdict:
        calendar_us = self._calendar_us()
        keys = [self._key(RECORD + settle_key)]
        packed: list[bytes] = []
        for (ready, key), charge in zip(self._rules.of(charges), charges, strict=True):
            keys.append(self._key(key))
            packed.append(self._packer.charge(ready, charge.amount, calendar_us))
        header = self._header(lease_s, special=late)
        shown = pack_ticket(ticket) if ticket else ()
        if ticket and ticket.joins and self._ear:
            self._ear.open(ticket.worker)
        arguments = (header, b"".join(packed), pack_keys(keys[1:]), *shown)
        reply = await self._run(self._reserve, keys, *arguments)
        settlement = None
        if isinstance(reply, list):
            parts = cast("list[bytes]", reply)
            reply = parts[0]
            settlement = Settlement("settled", tuple(unpack_settled(parts[1:], self._prefix_bytes)))
        assert isinstance(reply, bytes)
        admitted, repeated = reply[0] == 1, reply[1] == 1
        rows = unpack_rows(reply, 2)
        return make_verdict(
            charges,
            rows,
            admitted=admitted,
            repeated=repeated,
            settlement=settlement,
            waits=reply[0] == 2,
        )

    async def settle(
        self, settle_key: str, spent: Spent | None, *, forget: bool = False
    ) -> Settlement:
        key = self._key(RECORD + settle_key)
        header = self._header(special=forget)
        reply = await self._run(self._settle, [key], header, pack_spent(spent))
        parts = cast("list[bytes]", reply)
        match parts[0]:
            case b"S":
                return Settlement("settled", tuple(unpack_settled(parts[1:], self._prefix_bytes)))
            case b"R":
                return Settlement("repeated")
            case _:
                return Settlement("unknown")

    async def renew(self, settle_key: str, lease_s: float) -> bool:
        key = self._key(RECORD + settle_key)
        return await self._run(self._renew, [key], self._header(lease_s)) == 1

    async def leave(self, places: Sequence[Place]) -> None:
        if not places:
            return
        key = self._key(RECORD + places[0].settle_key)
        keys = [key, *(self._key(f"{QUEUE}:{place.line}") for place in places)]
        names = [part for at in places for part in (at.priority.encode(), pack_name(at))]
        await self._run(self._leave, keys, self._header(), *names)

    def listen(self, hear: Callable[[Place], object]) -> None:
        if self._ear:
            self._ear.hear = hear

    async def look(self, pairs: Sequence[tuple[Limit, str]]) -> tuple[Standing, ...]:
        """A call for each hundred pairs: nobody else is served while a script runs."""
        found: list[Standing] = []
        for begin in range(0, len(pairs), MOST_CHARGES):
            some = [Charge(*pair, 1) for pair in pairs[begin : begin + MOST_CHARGES]]
            found += await self._look_at(some)
        return tuple(found)

    async def _look_at(self, charges: Sequence[Charge]) -> list[Standing]:
        calendar_us = self._calendar_us()
        wanted = [self._rules.find(charge) for charge in charges]
        packed = [self._packer.charge(ready, 1, calendar_us) for ready, _ in wanted]
        keys = [self._key(key) for _, key in wanted]
        reply = await self._run(self._look, keys, self._header(), b"".join(packed))
        assert isinstance(reply, bytes)
        return list(map(make_standing, charges, unpack_rows(reply, 0)))

    async def scopes(self, name: str) -> list[str]:
        begin = self._prefix.translate(GLOB)
        pattern = f"{begin}[{TAKEN}]:{name.translate(GLOB)}:*"
        found: set[str] = set()
        cursor = b"0"
        while True:
            command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
            reply = cast("tuple[bytes, list[bytes]]", await self._ask(command))
            cursor, keys = reply
            for key in keys:
                text = key.decode("utf-8", "surrogatepass").removeprefix(self._prefix)
                found.add(text.split(":", 2)[2])
            if cursor == b"0":
                return sorted(found)

    async def reset(self, name: str, scope: str) -> bool:
        keys = [self._key(f"{kind}:{name}:{scope}") for kind in KINDS + LEASES]
        return await self._ask(("DEL", *keys)) != 0

    async def probe(self) -> None:
        await self._ask(("SET", self._key(PROBE), b"", "PX", SLACK_MS))

    def _key(self, key: str) -> bytes:
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _calendar_us(self) -> int:
        return (self._clock or read_clock_us)()

    def _header(self, lease_s: float = 0.0, *, special: bool = False) -> bytes:
        """`special`: a late reservation, or a settlement that is to be forgotten."""
        now_us, slack_ms = (self._clock(), TEST_SLACK_MS) if self._clock else (0, SLACK_MS)
        lives = (OPEN_US, SETTLED_US, EARLY_US, LEASES_MS)
        return HEADER.pack(now_us, lease_us(lease_s), slack_ms, *lives, special, self._prefix_bytes)

    async def _run(self, script: Script, keys: Sequence[bytes], *arguments: bytes) -> Reply:
        """Run a script by its digest; where the server has never seen it, by its text."""
        rest: Command = (len(keys), *keys, *arguments)
        reply = await self._line.call(("EVALSHA", script.digest, *rest))
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._line.call(("EVAL", script.text, *rest))
        return check(reply)

    async def _ask(self, command: Command) -> Reply:
        return check(await self._line.call(command))


def check(reply: Reply) -> Reply:
    """Raises: CountersFaultError: The server said that it cannot."""
    if isinstance(reply, hiredis.ReplyError):
        raise CountersFaultError(str(reply))
    return reply


@asynccontextmanager
async def open_counters(
    url: str,
    deadline_s: float = DEADLINE_S,
    prefix: str = PREFIX,
    clock: Callable[[], int] | None = None,
) -> AsyncGenerator[RedisCounters]:
    """Have counters for the time of the block. Does not wait for the server.

    Raises:
        ValueError, OSError: There is something wrong with the URL.
    """
    address = read_url(url)
    async with open_line(address, prefix, deadline_s) as line, open_ear(address, prefix) as ear:
        yield RedisCounters(line, prefix, clock, ear)
