"""How many request bytes a worker may hold at once: memory stays bounded whatever clients send."""

from typing import Self

from extproc.decision import Deny
from extproc.errors import Reason

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest request body. A prompt of a million tokens is about 4 MB of JSON, images in base64 come on
top. `headgate up` gives the same number to Envoy, which refuses larger ones itself."""

MAX_HELD_BYTES = 8 * MAX_BODY_BYTES
"""Default bound per worker. Bodies stay here for milliseconds, so this is eight of the largest at
the same instant, or thirty thousand of 4 kB. Counted are bytes on the wire; a body that is parsed
takes a few times as much for as long."""

LARGE_BYTES = 1024 * 1024
"""A body that announces more is reserved room for before it is sent: once gRPC has received it, it is
in memory, wanted or not."""

LARGE_SHARE = 0.5
"""Of the bound, for large bodies together. However slowly those are sent, small ones find room."""

RETRY_AFTER_S = 1
"""Bodies leave a worker within milliseconds; a second is an honest guess and kind to clients."""


class Held:
    """The bytes that one request holds, until its `with` block ends."""

    def __init__(self, budget: "ByteBudget") -> None:
        self._budget = budget
        self._arrived = 0
        self.reserved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held -= self.reserved

    def expect(self, announced: int) -> Deny | None:
        """Reserve room for a large body before it comes; refuse it when there is none."""
        return self._reserve(announced) if announced > LARGE_BYTES else None

    def take(self, size: int) -> Deny | None:
        """Hold `size` bytes that came; refuse the request when there is no room for them."""
        self._arrived += size
        if self._arrived > MAX_BODY_BYTES:
            return too_large()
        return self._reserve(self._arrived - self.reserved)

    def _reserve(self, more: int) -> Deny | None:
        if more <= 0:
            return None
        if not self._budget.take(more, large=self.reserved + more > LARGE_BYTES):
            message = "The gateway holds as many request bytes as it may. Try again."
            return Deny(Reason.OVERLOADED, message, retry_after_s=RETRY_AFTER_S)
        self.reserved += more
        return None


class ByteBudget:
    """Shared by all streams of one worker, which is one thread: no lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._large_limit = int(limit * LARGE_SHARE)
        if limit >= MAX_BODY_BYTES:  # one of the largest fits, or it would be refused for ever
            self._large_limit = max(self._large_limit, MAX_BODY_BYTES)
        self.held = 0

    def take(self, size: int, *, large: bool) -> bool:
        if self.held + size > (self._large_limit if large else self._limit):
            return False
        self.held += size
        return True

    def hold(self) -> Held:
        """Give back at the end of the block what was taken inside."""
        return Held(self)


def too_large() -> Deny:
    return Deny(Reason.TOO_LARGE, f"The request body is larger than {MAX_BODY_BYTES} bytes.")
