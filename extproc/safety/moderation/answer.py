"""Moderates one answer, in whichever form it comes."""

from collections.abc import Callable
from functools import partial
from time import monotonic

from extproc.dialects.ending import Ending
from extproc.dialects.opening import open_answer
from extproc.filter import BodyTransform
from extproc.request import Kind
from extproc.safety.moderation.panel import Bench
from extproc.safety.moderation.rules import Hit
from extproc.safety.moderation.stream import ModeratedStream
from extproc.safety.moderation.whole import ModeratedWhole


class Moderated(BodyTransform):
    """Finds out by the first byte how an answer is written."""

    def __init__(
        self,
        kind: Kind,
        bench: Bench,
        ending: Ending,
        tell: Callable[[Hit], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._begin_stream = partial(ModeratedStream, kind, bench, ending, tell, clock)
        self._begin_whole = partial(ModeratedWhole, kind, bench, tell)
        self._inner: ModeratedStream | ModeratedWhole | None = None
        self._begun = b""
        self.over = self.waits = False

    def feed(self, chunk: bytes) -> bytes:
        if self._inner is None:
            self._begun += chunk
            if (opened := open_answer(self._begun)) is None:
                return b""
            is_json, chunk = opened
            self._inner = self._begin_whole() if is_json else self._begin_stream()
        return self._after(self._inner.feed(chunk))

    def finish(self) -> bytes:
        return self._after(self._inner.finish()) if self._inner else self._begun

    async def wait(self) -> None:
        if self._inner:
            await self._inner.wait()
            self._after(b"")

    def patience_s(self) -> float | None:
        return self._inner.patience_s() if self._inner else None

    def _after(self, out: bytes) -> bytes:
        if self._inner:
            self.waits, self.over = self._inner.waits, self._inner.over
        return out
