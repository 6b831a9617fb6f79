"""The life of one request, top to bottom. Read this file first.

    head -> judge_head -> admit -> body -> judge_body -> forward -> leave

A request that is refused or answered on the way stops there. One that is forwarded is not followed:
we end the RPC, Envoy moves the answer, and its access log tells how it ended (`ledger/`). Only when
a filter has to rewrite the answer do we stay for it.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from extproc import action
from extproc.action import Admit, Answer, Forward
from extproc.budget import ByteBudget, Held
from extproc.decision import Deny, Judged
from extproc.errors import Reason
from extproc.filter import BodyTransform
from extproc.pipeline import Pipeline
from extproc.ports import Meter
from extproc.request import Body, Request


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
    begun = time.perf_counter()
    judged = await pipeline.judge_head(request)
    if judged.stop:
        await _stop(stream, judged, pipeline, meter, begun)
        return
    await stream.admit(action.admit(judged.request, pipeline.answer, pipeline.version))

    waited = time.perf_counter()
    with budget.hold() as held:
        body = await stream.body(held)
        begun += time.perf_counter() - waited  # how long the client took to send it is not ours
        if isinstance(body, Deny):
            await _stop(stream, Judged(judged.request, body), pipeline, meter, begun)
            return
        judged = await pipeline.judge_body(judged.request.having(Body(body)))
        if judged.stop:
            await _stop(stream, judged, pipeline, meter, begun)
            return
        forward = action.forward(judged.request, pipeline.version)
        if isinstance(forward, Deny):
            await _stop(stream, Judged(judged.request, forward), pipeline, meter, begun)
            return
        await stream.forward(forward)
    meter.decided("forward", time.perf_counter() - begun)

    transforms = pipeline.transforms(judged.request)
    if transforms or not stream.may_leave:
        await _rewrite(stream, transforms)


async def _stop(
    stream: Stream, judged: Judged, pipeline: Pipeline, meter: Meter, begun: float
) -> None:
    await stream.answer(action.stop(judged, pipeline.version))
    if not isinstance(judged.stop, Deny):
        outcome = "reply"
    elif judged.stop.reason is Reason.FAULT:
        outcome = "fault"
    else:
        outcome = "deny"
    meter.decided(outcome, time.perf_counter() - begun)


async def _rewrite(stream: Stream, transforms: list[BodyTransform]) -> None:
    async for chunk in stream.chunks():
        data = chunk.data
        for transform in transforms:
            data = transform.feed(data)
            if chunk.last:
                data += transform.finish()
        await stream.replace(data)
