"""The life of one request at a picker: decided like any other (`stream.judge`), then followed to its
end. In full duplex nobody may leave early, and no access log comes here to tell how it ended."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import cast

import msgspec

from extproc import action
from extproc.action import Answer, Forward
from extproc.budget import ByteBudget
from extproc.decision import Deny, Judged, Outcome, Relay
from extproc.epp.usage import Tail
from extproc.errors import AnswerFirstError, Reason
from extproc.pipeline import Pipeline
from extproc.ports import Meter
from extproc.request import Payload, Request, Route, Scalar
from extproc.routing.candidate import TRIES
from extproc.stopwatch import Stopwatch
from extproc.stream import judge, rewrite
from extproc.wire import EnvoyStream
from extproc.witness import CurrentPipeline

REASON_HEADER = "x-headgate-reason"
"""On refusals, the code of the error body: for gateways and dashboards that read no bodies."""

RENEW_S = 10.0
"""How often it is told that a request still runs: as often as our own Envoy's access log does."""

Forwarding = Callable[[Request, str], Forward]


def pass_on(request: Request, _policy: str) -> Forward:
    """Name the endpoints, and leave the rest as it came: its credentials may be meant for engines."""
    route = request.fact(Route)
    endpoints = ",".join(route.endpoints)
    set_headers = {action.ENDPOINT_KEY: endpoints, "traceparent": request.traceparent}
    remove_headers = () if request.keeps_trace else ("tracestate",)
    if route.prefiller:
        set_headers[action.PREFILLER_HEADER] = route.prefiller
    else:  # an engine would go wherever a client says
        remove_headers = (*remove_headers, action.PREFILLER_HEADER)
    return Forward(
        metadata={action.ENDPOINT_NAMESPACE: {action.ENDPOINT_KEY: endpoints}},
        body=request.fact(Payload).raw,
        set_headers=set_headers,
        remove_headers=remove_headers,
    )


def refuse(judged: Judged, policy: str) -> Answer:
    """Answer as our own gateway does, and say why in a header as well."""
    answer = action.stop(judged, policy)
    headers = {**answer.headers, REASON_HEADER: answer.details}
    return msgspec.structs.replace(answer, headers=headers)


def without_sidecars(judged: Judged) -> Judged:
    """Refuse what would go to a service beside the gateway: behind others' gateways there is none."""
    if isinstance(judged.stop, Relay):
        message = f"Unknown request URL here: {judged.request.path[:200]}."
        return Judged(judged.request, Deny(Reason.UNKNOWN_URL, message))
    return judged


class Serving:
    """One for all streams of a process: it knows which are open. `serve` is a `server.Life`."""

    def __init__(
        self, forward: Forwarding = pass_on, tries: int = TRIES, *, measures: bool = False
    ) -> None:
        """`tries`: most endpoints in a list. `measures`: whether ends are told with what the answer
        says of its tokens."""
        self._forward = forward
        self._tries = tries
        self._measures = measures
        self._open: dict[str, Outcome] = {}

    async def serve(
        self, stream: EnvoyStream, pipeline: Pipeline, budget: ByteBudget, meter: Meter
    ) -> None:
        """Serve one stream, to the end of the answer."""
        try:
            request = await stream.head()
        except AnswerFirstError:  # refused before us; its answer passes through our hands
            await rewrite(stream, [])
            return
        try:
            judged = await self._decide(stream, request, pipeline, budget, meter)
        except BaseException:  # whoever left while it was decided may have reserved something
            known = {"settle_key": request.settle_key}
            await pipeline.settle(Outcome(known, status=0, attempts=0, failed=()))
            raise
        if judged.stop:
            await refuse_and_tell(stream, judged, pipeline)
        else:
            await self._follow(stream, judged.request, pipeline)

    async def _decide(
        self,
        stream: EnvoyStream,
        request: Request,
        pipeline: Pipeline,
        budget: ByteBudget,
        meter: Meter,
    ) -> Judged:
        spent = Stopwatch()
        with budget.hold() as held:
            judged = without_sidecars(await judge(stream, request, pipeline, held, spent))
            meter.decided(judged.outcome, spent.read_s())
            return judged

    async def _follow(self, stream: EnvoyStream, request: Request, pipeline: Pipeline) -> None:
        """Send it on, and tell the filters how it ended, whichever way that was."""
        begun_s = monotonic()
        route = request.fact(Route)
        request = request.having(Route(route.endpoints[: self._tries], route.prefiller))
        running = Outcome(request.witness(), status=0, attempts=1, failed=(), running=True)
        self._open[request.settle_key] = running
        tail = Tail() if self._measures else None
        try:
            await stream.forward(self._forward(request, pipeline.version))
            transforms = pipeline.transforms(request)
            await rewrite(stream, transforms if tail is None else [tail, *transforms])
        finally:
            del self._open[request.settle_key]
            failed = failed_before(stream.served, request.fact(Route).endpoints)
            outcome = msgspec.structs.replace(
                running,
                status=stream.status,
                attempts=len(failed) + 1,
                failed=failed,
                running=False,
                served=stream.served,
                latency_s=monotonic() - begun_s,
                usage=tail.usage() if tail is not None else {},
            )
            await pipeline.settle(outcome)

    async def renew(self, current: CurrentPipeline, every_s: float = RENEW_S) -> None:
        """Tell from time to time, for ever, what still runs."""
        while True:
            await asyncio.sleep(every_s)
            for outcome in tuple(self._open.values()):
                await current.pipeline.renew(outcome)


async def refuse_and_tell(stream: EnvoyStream, judged: Judged, pipeline: Pipeline) -> None:
    """Answer here, and let filters give back what they had reserved, and count refusals."""
    answer = refuse(judged, pipeline.version)
    known = cast("Mapping[str, Scalar]", answer.metadata[action.NAMESPACE])
    ip = judged.request.client_ip
    try:
        await stream.answer(answer)
    finally:
        await pipeline.settle(Outcome(known, answer.status, 0, (), client_ip=ip))


def failed_before(served: str, named: Sequence[str]) -> Sequence[str]:
    """Name the endpoints that were tried before the one that answered. They stand in the order of the
    tries; nothing is known where the gateway does not tell, or has chosen another one."""
    return named[: named.index(served)] if served in named else ()
