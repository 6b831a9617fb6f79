"""The life of one request, top to bottom. Read this file first.

    head -> judge_head -> admit -> body -> judge_body -> forward -> leave

A request that is refused or answered on the way stops there; one for a service beside the gateway is
handed over, body unseen. One that is forwarded is not followed: we end the RPC, Envoy moves the
answer, and its access log tells how it ended (`ledger/`). Only when a filter has to rewrite the answer
do we stay for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from extproc import action
from extproc.action import Admit, Answer, Forward, HandOver
from extproc.budget import ByteBudget, Held
from extproc.decision import Deny, Judged, Pause, Relay
from extproc.filter import AnswerMode, BodyTransform, Shown
from extproc.pipeline import Pipeline
from extproc.ports import Meter
from extproc.request import Body, Request
from extproc.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes of the answer. The last one may be empty."""

    data: bytes
    last: bool


class Stream(Protocol):
    """One HTTP request as Envoy shows it: a gRPC stream (`wire.py`), or a script in a test.

    Every method may raise WireError when Envoy breaks the protocol and DownstreamGoneError when
    it leaves.
    """

    async def head(self) -> Request: ...
    async def admit(self, admit: Admit) -> None: ...
    async def body(self, held: Held) -> bytes | Deny: ...
    async def forward(self, forward: Forward) -> None: ...
    async def answer(self, answer: Answer) -> None: ...
    async def hand_over(self, hand_over: HandOver, held: Held) -> None: ...

    async def stretch(self, most_s: float) -> None:
        """Ask Envoy for patience: this decision may take that long. Envoy heeds it once for each
        message, up to its own `max_message_timeout`."""
        ...

    @property
    def may_leave(self) -> bool:
        """False in FULL_DUPLEX_STREAMED, where an early end loses bytes without a word."""
        ...

    @property
    def may_push(self) -> bool:
        """Whether `replace` may be called between two chunks as well."""
        ...

    def chunks(self, *, plain: bool = False) -> AsyncIterator[Chunk]:
        """Yield the answer's chunks. Each must be met by `replace` before the next is asked for.
        With `plain`, an answer that is encoded is a WireError, before anything of it goes out."""
        ...

    async def replace(self, data: bytes) -> None:
        """Let this go out instead of the chunk just received."""
        ...

    async def end(self, data: bytes) -> None:
        """Let this go out instead of the chunk just received, and nothing after it."""
        ...


async def serve(stream: Stream, pipeline: Pipeline, budget: ByteBudget, meter: Meter) -> None:
    """Serve one stream under the policy it began with; a reload does not reach it."""
    transforms = await let_go(stream, pipeline, budget, meter)
    if transforms is not None and (transforms or not stream.may_leave):
        await rewrite(stream, transforms)


async def let_go(
    stream: Stream, pipeline: Pipeline, budget: ByteBudget, meter: Meter
) -> list[BodyTransform] | None:
    """Decide, and return how the answer is to be rewritten; None if there is none of an engine.

    A function of its own, so that no one holds the request while its answer passes: that may take
    minutes, and the budget knows of decisions only.
    """
    request = await stream.head()
    spent = Stopwatch()
    with budget.hold() as held:
        judged = await judge(stream, request, pipeline, held, spent)
        if isinstance(judged.stop, Relay):
            hand_over = action.hand_over(judged.request, judged.stop, pipeline.version)
            await stream.hand_over(hand_over, held)
        elif judged.stop:
            await stream.answer(action.stop(judged, pipeline.version))
        else:
            await stream.forward(action.forward(judged.request, pipeline.version))
    meter.decided(judged.outcome, spent.read_s())
    return None if judged.stop else pipeline.transforms(judged.request)


async def judge(
    stream: Stream, request: Request, pipeline: Pipeline, held: Held, spent: Stopwatch
) -> Judged:
    """Headers first, then the body, which is not even asked for when the headers are refused."""
    judged = await wait(stream, await pipeline.judge_head(request), spent)
    if judged.stop:
        return judged
    if denial := held.expect(request.announced_bytes):
        return Judged(judged.request, denial)
    request = judged.request
    wish = pipeline.wish(request)
    if wish is not AnswerMode.NONE:
        request = request.having(Shown(wish))
    await stream.admit(action.admit(request, wish, pipeline.version))
    spent.stop()  # how long the client takes to send it is not ours
    body = await stream.body(held)
    spent.go_on()
    if isinstance(body, Deny):
        return Judged(request, body)
    judged = await pipeline.judge_body(request.having(Body(body)))
    return await wait(stream, judged, spent)


async def wait(stream: Stream, judged: Judged, spent: Stopwatch) -> Judged:
    """Let it wait for as long as a filter wants it to: time that is not ours."""
    while isinstance(judged.stop, Pause):
        await stream.stretch(judged.stop.most_s)
        spent.stop()
        judged = await judged.stop.go_on()
        spent.go_on()
    return judged


async def rewrite(stream: Stream, transforms: list[BodyTransform]) -> None:
    """Pass the answer through, as the transforms change it, to its end or to theirs."""
    arriving = Arriving(stream, plain=any(each.reads for each in transforms))
    try:
        early = b""
        while chunk := await arriving.take(find_patience_s(transforms)):
            data, over = await put_through(transforms, chunk)
            if over and not chunk.last:
                await arriving.close()
                await stream.end(early + data)
                return
            if chunk is SILENCE and arriving.is_here:
                early += data  # the stream already speaks of the next chunk
                continue
            if data or early or chunk is not SILENCE:
                await stream.replace(early + data)
                early = b""
    finally:
        await arriving.close()


async def put_through(transforms: list[BodyTransform], chunk: Chunk) -> tuple[bytes, bool]:
    """Return what is to go out, and whether that ends the answer."""
    data, over = chunk.data, False
    for transform in transforms:
        data = transform.feed(data)
        while transform.waits:
            await transform.wait()
            data += transform.feed(b"")
        over = over or transform.over
        if chunk.last or over:
            data += transform.finish()
            while transform.waits:
                await transform.wait()
                data += transform.finish()
    return data, over


def find_patience_s(transforms: list[BodyTransform]) -> float | None:
    return min((s for each in transforms if (s := each.patience_s()) is not None), default=None)


SILENCE = Chunk(b"", last=False)
"""Stands for a chunk that did not come in time."""


class Arriving:
    """The chunks of an answer, and silences between them."""

    def __init__(self, stream: Stream, *, plain: bool) -> None:
        self._chunks = stream.chunks(plain=plain)
        self._may_push = stream.may_push
        self._next: asyncio.Future[Chunk | None] | None = None

    @property
    def is_here(self) -> bool:
        """Whether the next chunk waits to be taken."""
        return self._next is not None and self._next.done()

    async def take(self, patience_s: float | None) -> Chunk | None:
        """Return the next chunk, or SILENCE when none has come for so long; None at the end."""
        if self._next is None:
            if patience_s is None or not self._may_push:
                return await anext(self._chunks, None)
            # Not in a group: its faults are to come out as they are.
            self._next = asyncio.ensure_future(self._take())  # noqa: TID251 - `close` ends it
        await asyncio.wait({self._next}, timeout=patience_s)
        if not self._next.done():
            return SILENCE
        coming, self._next = self._next, None
        return coming.result()

    async def _take(self) -> Chunk | None:
        return await anext(self._chunks, None)

    async def close(self) -> None:
        """Wait for no more of them."""
        if self._next is not None:
            coming, self._next = self._next, None
            coming.cancel()
            with suppress(asyncio.CancelledError):
                await coming
