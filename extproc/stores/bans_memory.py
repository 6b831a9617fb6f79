"""Bans of one process: `guards.base.Bans` in memory. They are gone with it.

For tests, for a gateway with a single worker, and for the time in which shared bans cannot be reached.
"""

import time
from collections.abc import Callable

import msgspec

from extproc.guards.base import DAY_MS, LONGEST_ROW, MOST_BANS, Ban, Case, Growth, News

SPARE = 10
"""A tenth more than there may be, before the surplus goes: sorting for each ban would take its time."""


class Entry(msgspec.Struct, frozen=True):
    case: Case
    since_ms: int
    until_ms: int
    times: int
    change: int
    """Number of the change that made it so."""

    def ban(self, now_ms: int) -> Ban:
        left_s = max(0, self.until_ms - now_ms) / 1000
        return Ban(self.case, self.since_ms, left_s, self.times)


class MemoryBans:
    """Implements `Bans`."""

    def __init__(self, clock: Callable[[], int] | None = None, most: int = MOST_BANS) -> None:
        """`clock` tells milliseconds since 1970."""
        self._clock = clock or read_clock_ms
        self._most = most
        self._entries: dict[str, Entry] = {}
        self._change = 0

    async def add(self, case: Case, growth: Growth) -> Ban | None:
        now_ms = self._clock()
        old = self._entries.get(case.name)
        if old and old.until_ms > now_ms:
            return None
        row = old.times if old and old.until_ms + DAY_MS > now_ms else 0
        times = min(row + 1, LONGEST_ROW)
        return self._keep(case, now_ms, growth.length_ms(times), times)

    async def put(self, case: Case, length_s: float) -> Ban:
        return self._keep(case, self._clock(), int(length_s * 1000), 0)

    async def lift(self, case: Case) -> bool:
        now_ms = self._clock()
        old = self._entries.get(case.name)
        self._keep(case, now_ms, 0, 0)
        return old is not None and old.until_ms > now_ms

    async def read(self, seen: int = 0) -> News:
        now_ms = self._clock()
        if seen >= self._change:
            return News((), self._change)
        changed = [entry for entry in self._entries.values() if entry.change > seen]
        return News([entry.ban(now_ms) for entry in changed], self._change)

    def _keep(self, case: Case, now_ms: int, length_ms: int, times: int) -> Ban:
        self._change += 1
        entry = Entry(case, now_ms, now_ms + length_ms, times, self._change)
        self._entries[case.name] = entry
        if len(self._entries) > self._most + self._most // SPARE:
            by_end = sorted(self._entries.items(), key=lambda item: item[1].until_ms)
            self._entries = dict(by_end[-self._most :])
        return entry.ban(now_ms)


def read_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
