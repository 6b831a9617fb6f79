"""The life of one request, top to bottom. Read this file first.

    head -> judge_head -> admit -> body -> judge_body -> forward -> leave

A request that is refused or answered on the way stops there. One that is forwarded is not followed:
we end the RPC, Envoy moves the answer, and its access log tells how it ended (`ledger/`). Only when
a filter has to rewrite the answer do we stay for it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from extproc import action
from extproc.action import Admit, Answer, Forward
from extproc.budget import ByteBudget, Held
from extproc.decision import Deny, Judged
from extproc.filter import BodyTransform
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

    @property
    def may_leave(self) -> bool:
        """False in FULL_DUPLEX_STREAMED, where an early end loses bytes without a word."""
        ...

    def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the answer's chunks. Each must be met by `replace` before the next is asked for."""
        ...

    async def replace(self, data: bytes) -> None:
        """Let this go out instead of the chunk just received."""
        ...


async def serve(stream: Stream, pipeline: Pipeline, budget: ByteBudget, meter: Meter) -> None:
    """Serve one stream under the policy it began with; a reload does not reach it."""
    request = await stream.head()
    spent = Stopwatch()
    with budget.hold() as held:
        judged = await judge(stream, request, pipeline, held, spent)
        if judged.stop:
            await stream.answer(action.stop(judged, pipeline.version))
        else:
            await stream.forward(action.forward(judged.request, pipeline.version))
    meter.decided(judged.outcome, spent.read_s())
    if judged.stop:
        return
    transforms = pipeline.transforms(judged.request)
    if transforms or not stream.may_leave:
        await rewrite(stream, transforms)


async def judge(
    stream: Stream, request: Request, pipeline: Pipeline, held: Held, spent: Stopwatch
) -> Judged:
    """Headers first, then the body, which is not even asked for when the headers are refused."""
    judged = await pipeline.judge_head(request)
    if judged.stop:
        return judged
    if denial := held.expect(request.announced_bytes):
        return Judged(judged.request, denial)
    await stream.admit(action.admit(judged.request, pipeline.answer, pipeline.version))
    spent.stop()  # how long the client takes to send it is not ours
    body = await stream.body(held)
    spent.go_on()
    if isinstance(body, Deny):
        return Judged(judged.request, body)
    return await pipeline.judge_body(judged.request.having(Body(body)))


async def rewrite(stream: Stream, transforms: list[BodyTransform]) -> None:
    """Pass the answer through, as the transforms change it, to its end."""
    async for chunk in stream.chunks():
        data = chunk.data
        for transform in transforms:
            data = transform.feed(data)
            if chunk.last:
                data += transform.finish()
        await stream.replace(data)
