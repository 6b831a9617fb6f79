"""Kept answers of one worker: least recently used first out, bounded by bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from extproc.cache.base import Entry, Holding, place_of

MOST_BYTES = 64 * 1024 * 1024
OVERHEAD_BYTES = 400
"""Of an entry beside its answer: key, record, and their places in dicts."""


class Held(msgspec.Struct, frozen=True):
    entry: Entry
    until_s: float


class MemoryAnswers:
    """Implements `Answers`."""

    def __init__(
        self, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most_bytes = most_bytes
        self._clock = clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0

    async def get(self, key: str) -> Entry | None:
        held = self._held.get(key)
        if held is None:
            return None
        if held.until_s <= self._clock():
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held.entry

    async def put(self, key: str, entry: Entry, keep_s: int) -> int:
        if key in self._held:
            self._drop(key)
        size = weigh(entry)
        if size > self.most_bytes:
            return 0
        evicted = 0
        while self._bytes + size > self.most_bytes:
            self._drop(next(iter(self._held)))
            evicted += 1
        self._held[key] = Held(entry, self._clock() + keep_s)
        self._bytes += size
        return evicted

    async def purge(self, place: str) -> int:
        doomed = [key for key in self._held if key.startswith(place)]
        for key in doomed:
            self._drop(key)
        return len(doomed)

    async def look(self) -> Sequence[Holding]:
        now_s = self._clock()
        for key in [key for key, held in self._held.items() if held.until_s <= now_s]:
            self._drop(key)
        sums: dict[str, list[int]] = {}
        for key, held in self._held.items():
            found = sums.setdefault(place_of(key), [0, 0])
            found[0] += 1
            found[1] += weigh(held.entry)
        return [Holding(place, *found) for place, found in sorted(sums.items())]

    def _drop(self, key: str) -> None:
        self._bytes -= weigh(self._held.pop(key).entry)


def weigh(entry: Entry) -> int:
    return entry.size + OVERHEAD_BYTES
