"""How many request bytes a worker may hold at once: memory stays bounded whatever clients send."""

from collections.abc import Generator
from contextlib import contextmanager

from extproc.ports import Meter

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest request body. A prompt of a million tokens is about 4 MB of JSON, images in base64 come on
top. Envoy refuses larger ones itself; both read this number."""

MAX_HELD_BYTES = 8 * MAX_BODY_BYTES
"""Default bound per worker. Bodies stay here for milliseconds, so this is eight of the largest at
the same instant, or thirty thousand of 4 kB."""


class Held:
    """The bytes one request holds."""

    def __init__(self, budget: "ByteBudget") -> None:
        self._budget = budget
        self.size = 0

    def take(self, size: int) -> bool:
        """Hold `size` bytes more; False, and nothing is taken, when the worker has no room."""
        if not self._budget.take(size):
            return False
        self.size += size
        return True


class ByteBudget:
    """Shared by all streams of one worker, which is one thread: no lock."""

    def __init__(self, limit: int, meter: Meter) -> None:
        self._limit = limit
        self._meter = meter
        self.held = 0

    def take(self, size: int) -> bool:
        if self.held + size > self._limit:
            return False
        self.held += size
        self._meter.bytes_in_flight(self.held)
        return True

    @contextmanager
    def hold(self) -> Generator[Held]:
        """Give back at the end what was taken inside."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held -= held.size
            self._meter.bytes_in_flight(self.held)
