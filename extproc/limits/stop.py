"""Ends a stream that outruns what its limits allow.

A stream may go on for as long as its reservation covers it. Before that is used up, the next slice is
reserved; when a limit refuses it, the stream ends, politely, and what was delivered is what is billed.
So nobody pays for a long answer in advance, and no limit is ever overdrawn.
"""

from collections.abc import Awaitable, Callable, Iterator

import msgspec

from extproc.dialects.ending import Document, Ending, members
from extproc.dialects.opening import may_be_object
from extproc.dialects.sse import Event, Splitter
from extproc.filter import BodyTransform

SLICE_TOKENS = 256
"""Of an answer, reserved at once: 5 s of a usual stream, one call to the counters."""

AHEAD_TOKENS = 128
"""The next slice is asked for when that many tokens are left: some seconds before they are needed."""

Reserve = Callable[[int], Awaitable[str]]
"""Reserves so many tokens more; returns the name of the limit that refuses, or nothing."""


class Stop(BodyTransform):
    """Watches one stream. `allowed_tokens` of its answer are reserved already. It should never have more
    than `most_tokens`; where counts are guessed, it may seem to, and more is reserved then."""

    def __init__(
        self, ending: Ending, allowed_tokens: int, most_tokens: int, reserve: Reserve
    ) -> None:
        self._ending = ending
        self._allowed_tokens = allowed_tokens
        self._most_tokens = most_tokens
        self._reserve = reserve
        self._splitter = Splitter()
        self._held: list[Event] = []
        self._refused_by = ""
        self.over = False
        self.waits = False

    def feed(self, chunk: bytes) -> bytes:
        self._held += self._splitter.feed(chunk)
        out = [self._end() if event is None else event.raw for event in self._allowed()]
        left = self._allowed_tokens - self._ending.tokens
        ahead = left < AHEAD_TOKENS and self._allowed_tokens < self._most_tokens
        self.waits = self._may_have_more() and (bool(self._held) or ahead)
        return b"".join(out)

    def finish(self) -> bytes:
        """What the end of the stream left unfinished passes; an answer that was ended has no rest."""
        return b"" if self.over else b"".join(event.raw for event in self._splitter.finish())

    async def wait(self) -> None:
        """Reserve the next slice."""
        more = SLICE_TOKENS
        if self._allowed_tokens < self._most_tokens:
            more = min(more, self._most_tokens - self._allowed_tokens)
        self._refused_by = await self._reserve(more)
        if not self._refused_by:
            self._allowed_tokens += more

    def _may_have_more(self) -> bool:
        return not (self.over or self._refused_by)

    def _allowed(self) -> Iterator[Event | None]:
        """Take the events that may go out; None ends the stream."""
        while self._held and not self.over:
            document = read(self._held[0])
            if document is not None:
                if self._ending.weigh(document) > self._allowed_tokens:
                    if self._may_have_more():
                        return
                    self.over = True
                    yield None
                    return
                self._ending.note(document)
            yield self._held.pop(0)

    def _end(self) -> bytes:
        return self._ending.close(self._refused_by)


def read(event: Event) -> Document | None:
    """Parse an event; None for what says nothing of tokens: `[DONE]`, comments, an answer in JSON."""
    if not may_be_object(event.data):
        return None
    try:
        return members(msgspec.json.decode(event.data))
    except msgspec.DecodeError:
        return None
