"""Where answers are kept: the port, and what is kept."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One kept answer."""

    answer: bytes
    """`answer.pack`."""
    at_ms: int
    """When it was made: milliseconds since the epoch."""
    fresh_ms: int
    """Until then it is served; afterwards only where nobody else can answer."""

    @property
    def size(self) -> int:
        return len(self.answer)

    def __repr__(self) -> str:
        return f"Entry({self.size} bytes)"


class Holding(msgspec.Struct, frozen=True):
    """What is kept of one tenant and model, by their hashed names."""

    place: str
    entries: int
    size: int


class Answers(Protocol):
    """Kept answers by key, `PLACE:DIGEST`. Whoever keeps them may forget any of them at any time.

    `most_bytes` bounds all of them together; it may be changed at any time.
    Every method raises CountersFaultError when the store cannot be reached.
    """

    most_bytes: int

    async def get(self, key: str) -> Entry | None: ...

    async def put(self, key: str, entry: Entry, keep_s: int) -> int:
        """Keep it for so long at most, in place of what was there; return how many others had to go
        to make room. What is larger than all the room there is is not kept."""
        ...

    async def purge(self, place: str) -> int:
        """Forget all whose key begins with `place`; return how many."""
        ...

    async def look(self) -> Sequence[Holding]:
        """Say what there is."""
        ...


def place_of(key: str) -> str:
    return key.rpartition(":")[0]
