"""The life of a request at a picker, told by a script in place of Envoy."""

import asyncio
import contextlib

import pytest
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
)

from extproc.budget import ByteBudget
from extproc.decision import Deny, Relay
from extproc.epp.serving import REASON_HEADER, Serving, failed_before
from extproc.errors import DownstreamGoneError, Reason, WireError
from extproc.filter import Filter
from extproc.pipeline import Pipeline
from extproc.request import Body, Payload, Route
from extproc.stores.memory import MemoryMeter
from extproc.wire import EnvoyStream
from extproc.witness import CurrentPipeline

GUARD_S = 30
FD, BUFFERED = ProcessingMode.FULL_DUPLEX_STREAMED, ProcessingMode.BUFFERED
ENDPOINTS = ("10.0.0.1:1", "10.0.0.2:1")
RAW = b'{"model": "m"}'
SERVED = "x-gateway-destination-endpoint-served"


class Decide(Filter):
    name = "decide"
    needs = frozenset({Body})

    def __init__(self, stop=None, prefiller=""):
        self.stop, self.prefiller, self.ends, self.renewed = stop, prefiller, [], []

    async def decide(self, request):
        if self.stop:
            return self.stop
        return request.having(Payload(request.fact(Body).raw)).having(
            Route(ENDPOINTS, self.prefiller)
        )

    async def settle(self, outcome):
        self.ends.append(outcome)

    async def renew(self, outcome):
        self.renewed.append(outcome)


class DecideEarly(Decide):
    needs = frozenset()


class Script:
    """Envoy: hands out messages in order, then the end of the stream, or what `last` raises."""

    def __init__(self, *messages, last=None):
        self.messages, self.sent, self.last = list(messages), [], last

    async def read(self):
        if self.messages:
            return self.messages.pop(0)
        return await self.last() if self.last else None

    async def write(self, message):
        self.sent.append(message)


def head(mode=FD, *, end=False, **headers):
    message = ProcessingRequest(request_headers=HttpHeaders(end_of_stream=end))
    message.protocol_config.request_body_mode = mode
    message.protocol_config.response_body_mode = FD if mode == FD else ProcessingMode.NONE
    pairs = {":method": "POST", ":path": "/v1/x", **headers}
    for name, value in pairs.items():
        message.request_headers.headers.headers.add(key=name, raw_value=value.encode())
    return message


def body(data=RAW):
    return ProcessingRequest(request_body=HttpBody(body=data, end_of_stream=True))


def answered(status="200", served=ENDPOINTS[0]):
    message = ProcessingRequest(response_headers=HttpHeaders())
    message.response_headers.headers.headers.add(key=":status", raw_value=status.encode())
    message.metadata_context.filter_metadata["envoy.lb"][SERVED] = served
    return message


def part(data, *, end=False):
    return ProcessingRequest(response_body=HttpBody(body=data, end_of_stream=end))


async def play(script, decide=None, meter=None):
    decide = decide or Decide()
    pipeline, budget = Pipeline([decide], "v1", MemoryMeter()), ByteBudget(1 << 20)
    meter = meter or MemoryMeter()
    try:
        await Serving().serve(EnvoyStream(script), pipeline, budget, meter)
    finally:
        assert budget.held == 0
    return decide


async def test_followed_to_its_end():
    messages = (head(), body(), answered(), part(b"a"), part(b"", end=True))
    script, meter = Script(*messages), MemoryMeter()
    (end,) = (await play(script, meter=meter)).ends
    assert (end.status, end.attempts, end.failed, end.served) == (200, 1, (), ENDPOINTS[0])
    assert end.latency_s > 0
    assert not end.running
    assert meter.decisions == {"forward": 1}
    change = script.sent[0].request_headers.response
    headers = {
        o.header.key: o.header.raw_value.decode() for o in change.header_mutation.set_headers
    }
    named = script.sent[0].dynamic_metadata["envoy.lb"]["x-gateway-destination-endpoint"]
    assert headers["x-gateway-destination-endpoint"] == named == ",".join(ENDPOINTS)
    assert change.clear_route_cache
    assert script.sent[1].request_body.response.body_mutation.streamed_response.body == RAW


async def test_credentials_and_what_is_not_ours_stay():
    pairs = {"authorization": "Bearer x", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    script = Script(head(**pairs), body(), answered())
    await play(script)
    mutation = script.sent[0].request_headers.response.header_mutation
    assert list(mutation.remove_headers) == ["x-prefiller-host-port"]
    script = Script(head(tracestate="a=b"), body(), answered())
    await play(script)
    mutation = script.sent[0].request_headers.response.header_mutation
    assert list(mutation.remove_headers) == ["tracestate", "x-prefiller-host-port"]


async def test_where_the_prompt_is_computed_is_ours_to_say():
    script = Script(head(**{"x-prefiller-host-port": "10.9.9.9:1"}), body(), answered())
    await play(script, Decide(prefiller="10.0.0.7:1"))
    mutation = script.sent[0].request_headers.response.header_mutation
    headers = {o.header.key: o.header.raw_value.decode() for o in mutation.set_headers}
    assert headers["x-prefiller-host-port"] == "10.0.0.7:1"
    assert "x-prefiller-host-port" not in mutation.remove_headers


async def test_a_list_is_as_long_as_the_gateway_can_bear():
    script, decide = Script(head(), body(), answered(served=ENDPOINTS[1])), Decide()
    pipeline = Pipeline([decide], "v1", MemoryMeter())
    serving = Serving(tries=1)
    await serving.serve(EnvoyStream(script), pipeline, ByteBudget(1 << 20), MemoryMeter())
    named = script.sent[0].dynamic_metadata["envoy.lb"]["x-gateway-destination-endpoint"]
    assert named == ENDPOINTS[0]
    assert decide.ends[0].failed == ()


@pytest.mark.parametrize(
    ("served", "failed"),
    [(ENDPOINTS[0], ()), (ENDPOINTS[1], ENDPOINTS[:1]), ("10.9.9.9:1", ()), ("", ())],
)
async def test_tried_before_means_failed(served, failed):
    (end,) = (await play(Script(head(), body(), answered(served=served)))).ends
    assert end.failed == failed_before(served, ENDPOINTS) == failed
    assert end.attempts == len(failed) + 1


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ((head(), body()), 0),
        ((head(), body(), answered("503")), 503),
        ((head(), body(), answered(), part(b"x")), 200),
        ((head(end=True), answered("404")), 404),
        ((head(BUFFERED), body(), answered()), 200),
        ((head(BUFFERED), body()), 0),
    ],
    ids=["no answer", "refused", "cut", "without a body", "buffered", "buffered, no answer"],
)
async def test_every_end_is_told_once(messages, status):
    (end,) = (await play(Script(*messages))).ends
    assert end.status == status


async def test_an_end_is_told_when_we_are_cancelled_and_when_envoy_errs():
    async def gone():
        raise asyncio.CancelledError

    decide = Decide()
    with contextlib.suppress(asyncio.CancelledError):
        await play(Script(head(), body(), answered(), last=gone), decide)
    assert [end.status for end in decide.ends] == [200]
    decide = Decide()
    trailers = ProcessingRequest(request_trailers=HttpTrailers())
    with pytest.raises(WireError):
        await play(Script(head(), body(), head(), trailers), decide)
    assert [end.status for end in decide.ends] == [0]


async def test_who_leaves_before_the_body_is_here_was_never_sent_anywhere():
    decide = Decide()
    with pytest.raises(DownstreamGoneError):
        await play(Script(head()), decide)
    (end,) = decide.ends
    assert (end.status, end.attempts, list(end.witness)) == (0, 0, ["settle_key"])


async def test_a_refusal_says_why_in_a_header_too():
    script = Script(head(), body())
    decide = await play(script, Decide(Deny(Reason.NO_ENDPOINT, "None.", retry_after_s=2)))
    immediate = script.sent[0].immediate_response
    headers = {o.header.key: o.header.raw_value.decode() for o in immediate.headers.set_headers}
    assert immediate.status.code == 503
    assert headers[REASON_HEADER] == "no_endpoint"
    assert headers["retry-after"] == "2"
    (end,) = decide.ends
    assert (end.status, end.attempts, end.witness["deny"]) == (503, 0, "no_endpoint")


async def test_there_are_no_sidecars_here():
    script, meter = Script(head(), body()), MemoryMeter()
    await play(script, DecideEarly(Relay("usage")), meter)
    assert script.sent[0].immediate_response.status.code == 404
    assert meter.decisions == {"deny": 1}


async def test_an_answer_without_a_request_passes():
    first = answered("401")
    first.protocol_config.response_body_mode = FD
    script = Script(first, part(b"no", end=True))
    decide = await play(script)
    assert script.sent[1].response_body.response.body_mutation.streamed_response.body == b"no"
    assert decide.ends == []


async def test_what_runs_long_is_told_to_run():
    leaving = asyncio.Event()

    async def wait():
        await leaving.wait()

    decide, serving = Decide(), Serving()
    pipeline = Pipeline([decide], "v1", MemoryMeter())
    stream = EnvoyStream(Script(head(), body(), answered(), last=wait))
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(serving.renew(CurrentPipeline(pipeline), 0.01))
        tasks.create_task(serving.serve(stream, pipeline, ByteBudget(1 << 20), MemoryMeter()))
        async with asyncio.timeout(GUARD_S):
            while len(decide.renewed) < 2:  # noqa: ASYNC110 - a loop of a few turns
                await asyncio.sleep(0.01)
        assert decide.renewed[0].running
        assert decide.renewed[0].witness["settle_key"]
        leaving.set()
        async with asyncio.timeout(GUARD_S):
            while not decide.ends:  # noqa: ASYNC110 - a loop of a few turns
                await asyncio.sleep(0.01)
        told = len(decide.renewed)
        await asyncio.sleep(0.03)
        assert len(decide.renewed) == told
        renewing.cancel()
    assert len(decide.ends) == 1
