"""Events of a stream that are held until they are judged, and how much of them that may be."""

from collections import deque

import msgspec

from extproc.dialects.deltas import Channel
from extproc.dialects.ending import TOKEN_BYTES, Document


class Held(msgspec.Struct):
    """One event that has not gone out."""

    raw: bytes
    document: Document | None
    ends: tuple[tuple[Channel, int], ...]
    """Where in its channels' texts it ends."""
    tokens: int
    since_s: float
    judged: bool
    """By services."""


class Hold:
    """A queue of them, and its sum."""

    def __init__(self) -> None:
        self._held: deque[Held] = deque()
        self.tokens = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def first(self) -> Held:
        return self._held[0]

    def add(self, held: Held) -> None:
        self._held.append(held)
        self.tokens += held.tokens

    def take(self) -> Held:
        held = self._held.popleft()
        self.tokens -= held.tokens
        return held

    def judge(self) -> None:
        """Take all for judged."""
        for each in self._held:
            each.judged = True

    def drop(self) -> None:
        self._held.clear()
        self.tokens = 0


def weigh(text: str) -> int:
    """Count the tokens of a piece: one, or more where engines join them."""
    return -(-len(text.encode(errors="replace")) // TOKEN_BYTES)
