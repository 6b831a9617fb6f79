"""A dictionary whose entries go when their time has come, without a timer and without a pause.

Entries stand in a ring. Each that is put in moves a hand on over two of them, and those that are past
their time go: the hand gets round faster than the ring grows, and no call takes long.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")
STEPS = 2
"""One for the entry that came in, one to gain on the rest."""


class Expiring(Generic[Value]):
    """At most `most` entries; above that those go that the hand meets, and `forgotten` counts them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ring: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ring)

    def get(self, key: str) -> Value | None:
        """Find it, also when its time has come and the hand has not been there yet."""
        entry = self._ring.get(key)
        return entry[0] if entry else None

    def put(self, key: str, value: Value, gone: int, now: int) -> None:
        """Keep until `gone`; both are in one unit of time."""
        self._ring[key] = value, gone
        for _ in range(min(STEPS, len(self._ring))):
            self._step(now)

    def drop(self, key: str) -> bool:
        return self._ring.pop(key, None) is not None

    def _step(self, now: int) -> None:
        key, entry = self._ring.popitem(last=False)
        alive = entry[1] > now
        if alive and len(self._ring) < self._most:
            self._ring[key] = entry
        else:
            self.forgotten += alive
