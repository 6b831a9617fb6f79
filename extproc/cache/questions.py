"""Where questions are kept that alike ones are looked for among: the port, and how many there may be."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from extproc.cache.turn import Sought

MOST_TRIED = 16
"""Neighbours that the guard is asked about, 20 us each. The nearest is often a near miss, such as the
same question about another city: `docs/cache.md` has what more of them find."""


class Alike(msgspec.Struct, frozen=True):
    """A question that sounds alike, and the key of its answer."""

    key: str
    turn: str
    similarity: float
    """Cosine of the vectors."""

    def __repr__(self) -> str:
        return f"Alike({self.similarity:.3f})"


class Room(msgspec.Struct, frozen=True):
    """How many questions are kept. Beyond, the oldest are forgotten."""

    most: int = 20_000
    most_of_tenant: int = 5_000
    most_of_conversation: int = 1_000
    """Of those that follow the same conversation, which are searched together."""


class Questions(Protocol):
    """Kept questions. Nothing is found across tenants or conversations, nor past its time, and
    whoever keeps them may forget any of them at any time.

    Every method raises QuestionsFaultError when there is no answer in time.
    """

    async def nearest(self, sought: Sought, now_ms: int) -> Sequence[Alike]:
        """Find those that sound most alike, `MOST_TRIED` at most, the nearest first."""
        ...

    async def add(self, sought: Sought, key: str, until_ms: int) -> None:
        """Keep one, in place of what had its key."""
        ...

    async def count(self, place: str) -> int:
        """Count those whose key begins with `place`."""
        ...

    async def purge(self, place: str) -> int:
        """Forget all whose key begins with `place`; return how many."""
        ...
