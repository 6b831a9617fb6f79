"""The real server over a real unix socket, spoken to by a real gRPC client."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
    ProtocolConfiguration,
)
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.budget import MAX_BODY_BYTES, ByteBudget
from extproc.filter import BodyTransform, Filter
from extproc.pipeline import Pipeline
from extproc.request import Body, Model, Payload, Route
from extproc.server import (
    ACCESS_LOG_SERVICE,
    HEALTH_SERVICES,
    MESSAGE_BYTES,
    SERVICE,
    Server,
)
from extproc.stores.memory import MemoryMeter
from extproc.witness import CurrentPipeline

GUARD_S = 30
LONG_S = 10 * GUARD_S
"""A drain that takes as long as it may is seen by the guard."""
SERVING = health_pb2.HealthCheckResponse.SERVING


class Decide(Filter):
    """Forwards every body as it is; waits for `gate` first, and says in `met` that it does."""

    name = "decide"
    needs = frozenset({Body})

    def __init__(self, transform=lambda: None):
        self.transform = lambda _: transform()
        self.gate, self.met = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.settled = asyncio.Queue()

    async def decide(self, request):
        self.met.set()
        await self.gate.wait()
        raw = request.fact(Body).raw
        msgspec.json.decode(raw)
        request = request.having(Payload(raw)).having(Model("m", "p", "m"))
        return request.having(Route(("10.0.0.1:80",)))

    async def settle(self, outcome):
        self.settled.put_nowait(outcome)


class Incomplete(Filter):
    """Lets everything pass without finding what forwarding needs: a bug outside any `decide`."""

    name = "incomplete"

    async def decide(self, request):
        return request


class Broken(BodyTransform):
    def feed(self, chunk):
        raise ZeroDivisionError

    def finish(self):
        return b""


class Rig:
    """One server and one client of it."""

    def __init__(self, decide, path):
        self.decide, self.listen = decide, f"unix:{path}"
        self.meter = MemoryMeter()
        self.current = CurrentPipeline(Pipeline([decide], "v1", self.meter))
        self.budget = ByteBudget(10 * MAX_BODY_BYTES)
        self.begun = 0
        """Streams of access logs."""
        self.server = Server(self.current, self.budget, self.meter, heard=self.hear)
        names = ("grpc.max_send_message_length", "grpc.max_receive_message_length")
        options = [(name, 2 * MAX_BODY_BYTES) for name in names]
        self.channel = aio.insecure_channel(self.listen, options=options)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def hear(self):
        self.begun += 1

    def process(self):
        return self.channel.stream_stream(
            f"/{SERVICE}/Process",
            ProcessingRequest.SerializeToString,
            ProcessingResponse.FromString,
        )()

    def collect(self):
        return self.channel.stream_unary(
            f"/{ACCESS_LOG_SERVICE}/StreamAccessLogs",
            StreamAccessLogsMessage.SerializeToString,
            StreamAccessLogsResponse.FromString,
        )()

    async def check(self, service):
        asked = health_pb2.HealthCheckRequest(service=service)
        return (await self.health.Check(asked)).status


@pytest.fixture
def rig(tmp_path):
    @asynccontextmanager
    async def run(decide=None):
        async with asyncio.timeout(GUARD_S):
            made = Rig(decide or Decide(), tmp_path / "w.sock")
            await made.server.start(made.listen)
            try:
                async with made.channel:
                    yield made
            finally:
                await made.server.drain()
                assert made.budget.held == 0

    return run


def head(answer_mode=ProcessingMode.NONE):
    pairs = [
        HeaderValue(key=key, raw_value=value)
        for key, value in [(":method", b"POST"), (":path", b"/v1/completions?x=1")]
    ]
    return ProcessingRequest(
        request_headers=HttpHeaders(headers=HeaderMap(headers=pairs)),
        protocol_config=ProtocolConfiguration(
            request_body_mode=ProcessingMode.BUFFERED, response_body_mode=answer_mode
        ),
    )


def body(data=b'{"model":"m"}'):
    return ProcessingRequest(request_body=HttpBody(body=data, end_of_stream=True))


async def end_of(call):
    """How the RPC ended, as Envoy would see it."""
    with suppress(aio.AioRpcError):
        while await call.read() is not aio.EOF:
            pass
    return await call.code()


async def test_health_answers_to_the_names_gateways_ask_for(rig):
    async with rig() as made:
        for service in HEALTH_SERVICES:
            assert await made.check(service) == SERVING
        with pytest.raises(aio.AioRpcError) as caught:
            await made.check("another")
        assert caught.value.code() is StatusCode.NOT_FOUND


async def test_whoever_watches_the_health_of_the_whole_is_told_of_the_drain(rig):
    async with rig() as made:
        made.decide.gate.clear()
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body())
        await made.decide.met.wait()
        watching = made.health.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == SERVING
        async with asyncio.TaskGroup() as group:
            group.create_task(made.server.drain(LONG_S))
            assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watching.cancel()
            made.decide.gate.set()
            await end_of(call)


async def test_a_whole_conversation(rig):
    async with rig() as made:
        call = made.process()
        await call.write(head())
        admitted = await call.read()
        assert admitted.WhichOneof("response") == "request_headers"
        settle_key = admitted.dynamic_metadata["headgate"]["settle_key"]
        await call.write(body())
        forwarded = await call.read()
        assert forwarded.request_body.response.body_mutation.body == b'{"model":"m"}'
        assert forwarded.dynamic_metadata["headgate"]["settle_key"] == settle_key
        assert await call.read() is aio.EOF, "we leave without waiting for Envoy to close"
        assert await call.code() is StatusCode.OK
        assert made.meter.decisions == {"forward": 1}


async def test_many_at_once(rig):
    async def one(made, number):
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body(msgspec.json.encode({"number": number})))
        sent = (await call.read()).request_body.response.body_mutation.body
        return msgspec.json.decode(sent)["number"]

    async with rig() as made:
        assert await asyncio.gather(*(one(made, i) for i in range(50))) == list(range(50))


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 0), (MAX_BODY_BYTES + 1, 413)])
async def test_the_largest_body_passes_and_a_larger_one_is_refused(rig, size, status):
    empty = b'{"x":""}'
    async with rig() as made:
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body(empty[:6] + b"x" * (size - len(empty)) + empty[6:]))
        reply = await call.read()
        assert reply.immediate_response.status.code == status
        assert len(reply.request_body.response.body_mutation.body) == (0 if status else size)


async def test_a_fault_in_a_filter_is_an_answer_and_the_rpc_ends_well(rig):
    async with rig() as made:
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body(b"}"))
        reply = await call.read()
        assert reply.immediate_response.status.code == 500
        assert await end_of(call) is StatusCode.OK
        assert made.meter.faults == {"decide": 1}


@pytest.mark.parametrize(
    ("messages", "code", "faults"),
    [
        ([], StatusCode.CANCELLED, {}),
        ([head()], StatusCode.CANCELLED, {}),
        ([body()], StatusCode.FAILED_PRECONDITION, {"order": 1}),
        ([head(), head()], StatusCode.FAILED_PRECONDITION, {"order": 1}),
        ([ProcessingRequest()], StatusCode.FAILED_PRECONDITION, {"order": 1}),
    ],
)
async def test_a_broken_protocol_is_never_an_ok(rig, messages, code, faults):
    async with rig() as made:
        call = made.process()
        for message in messages:
            await call.write(message)
        await call.done_writing()
        assert await end_of(call) is code
        assert made.meter.faults == faults
        assert not made.meter.decisions


async def test_what_is_no_message_is_never_an_ok(rig):
    async with rig() as made:
        call = made.channel.stream_stream(f"/{SERVICE}/Process")()
        await call.write(b"x" * (MESSAGE_BYTES + 1))
        assert await end_of(call) is StatusCode.RESOURCE_EXHAUSTED
        call = made.channel.stream_stream(f"/{SERVICE}/Process")()
        await call.write(b"\xff")
        assert await end_of(call) is StatusCode.INTERNAL
        assert made.meter.faults == {"message": 1, "internal": 1}


async def test_a_bug_of_ours_is_an_abort_that_says_nothing(rig, caplog):
    async with rig(Incomplete()) as made:
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body())
        assert await end_of(call) is StatusCode.INTERNAL
        assert await call.details() == "internal error"
        assert made.meter.faults == {"internal": 1}
    assert [record.message for record in caplog.records] == ["stream_fault"]
    assert caplog.records[0].exc_info


async def test_an_answer_that_cannot_be_rewritten_is_cut(rig):
    async with rig(Decide(transform=Broken)) as made:
        call = made.process()
        await call.write(head(ProcessingMode.STREAMED))
        await call.read()
        await call.write(body())
        await call.read()
        await call.write(ProcessingRequest(response_body=HttpBody(body=b"x")))
        assert await end_of(call) is StatusCode.INTERNAL


async def test_a_client_that_leaves_takes_its_bytes_along(rig):
    async with rig() as made:
        made.decide.gate.clear()
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body())
        await made.decide.met.wait()
        assert made.budget.held == len(b'{"model":"m"}')
        call.cancel()
        while made.budget.held:  # noqa: ASYNC110 - a budget has no event to wait for
            await asyncio.sleep(0.01)
        assert not made.meter.decisions


async def test_an_open_stream_keeps_its_policy_when_another_is_swapped_in(rig):
    async with rig() as made:
        call = made.process()
        await call.write(head())
        await call.read()
        made.current.pipeline = Pipeline([Incomplete()], "v2", made.meter)
        await call.write(body())
        reply = await call.read()
        assert reply.dynamic_metadata["headgate"]["policy"] == "v1"
        later = made.process()
        await later.write(head())
        assert (await later.read()).dynamic_metadata["headgate"]["policy"] == "v2"
        await later.done_writing()
        assert await end_of(later) is StatusCode.CANCELLED


async def test_access_logs_are_settled(rig):
    message = StreamAccessLogsMessage()
    for status in (200, 503):
        entry = message.http_logs.log_entry.add()
        entry.common_properties.access_log_type = accesslog_pb2.DownstreamEnd
        entry.common_properties.metadata.filter_metadata["headgate"].update({"settle_key": "k"})
        entry.response.response_code.value = status
    async with rig() as made:
        call = made.collect()
        await call.write(message)
        outcomes = [await made.decide.settled.get() for _ in range(2)]
        assert [outcome.status for outcome in outcomes] == [200, 503]
        assert outcomes[0].witness == {"settle_key": "k"}
        await call.done_writing()
        assert await call == StreamAccessLogsResponse()


def ended():
    message = StreamAccessLogsMessage()
    entry = message.http_logs.log_entry.add()
    entry.common_properties.access_log_type = accesslog_pb2.DownstreamEnd
    entry.common_properties.stream_id = "xyz"
    return message


async def test_an_access_log_message_that_cannot_be_decoded_is_lost_alone(rig):
    """The entries after it still count."""
    good = ended().SerializeToString()
    async with rig() as made:
        call = made.channel.stream_unary(f"/{ACCESS_LOG_SERVICE}/StreamAccessLogs")()
        await call.write(good[:-1])
        await call.write(good)
        assert await made.decide.settled.get()
        await call.done_writing()
        await call
        assert made.decide.settled.empty()
        assert made.meter.faults == {"access_log": 1}


async def test_a_request_id_that_is_no_text_does_not_hide_how_its_request_ended(rig):
    """Envoy takes the client's for its own, and logs it as it is."""
    async with rig() as made:
        call = made.channel.stream_unary(f"/{ACCESS_LOG_SERVICE}/StreamAccessLogs")()
        await call.write(ended().SerializeToString().replace(b"xyz", b"\xff\xc3z"))
        assert await made.decide.settled.get()
        await call.done_writing()
        await call
        assert made.meter.faults == {}


async def test_draining_lets_an_open_decision_finish_and_takes_no_new_one(rig):
    async with rig() as made:
        made.decide.gate.clear()
        call = made.process()
        await call.write(head())
        await call.read()
        await call.write(body())
        await made.decide.met.wait()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(made.server.drain(LONG_S))
            code = StatusCode.OK
            while code is not StatusCode.UNAVAILABLE:  # it may be CANCELLED while the socket closes
                refused = aio.insecure_channel(made.listen, [("grpc.use_local_subchannel_pool", 1)])
                async with refused:
                    health = health_pb2_grpc.HealthStub(refused)
                    code = await health.Check(health_pb2.HealthCheckRequest()).code()
            assert not draining.done()
            made.decide.gate.set()
            reply = await call.read()
            assert reply.WhichOneof("response") == "request_body"
            assert await end_of(call) is StatusCode.OK
            await draining


async def test_draining_does_not_wait_for_the_access_log(rig):
    """Envoy keeps it open for as long as it lives."""
    async with rig() as made:
        call = made.collect()
        message = StreamAccessLogsMessage()
        entry = message.http_logs.log_entry.add()
        entry.common_properties.access_log_type = accesslog_pb2.DownstreamEnd
        await call.write(message)
        await made.decide.settled.get()
        assert made.begun == 1, "who it told before is to be looked for"
        await made.server.drain(LONG_S)
        assert await call == StreamAccessLogsResponse(), "an end that Envoy takes for one"


class Slow(Decide):
    """Settles when `gate` lets it."""

    async def settle(self, outcome):
        self.met.set()
        await self.gate.wait()
        await super().settle(outcome)


async def test_draining_settles_what_was_told(rig):
    """Nobody would tell it again, and what was reserved would stay taken."""
    async with rig(Slow()) as made:
        made.decide.gate.clear()
        call = made.collect()
        await call.write(ended())
        await made.decide.met.wait()
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(made.server.drain(LONG_S))
            await asyncio.wait({draining}, timeout=0.1)
            assert not draining.done()
            made.decide.gate.set()
            await draining
        assert made.decide.settled.qsize() == 1
        assert await call == StreamAccessLogsResponse()


async def test_an_envoy_that_goes_leaves_what_it_told_to_be_settled(rig):
    async with rig(Slow()) as made:
        made.decide.gate.clear()
        call = made.collect()
        await call.write(ended())
        await made.decide.met.wait()
        call.cancel()
        assert await made.check("readiness") == SERVING  # the same connection: it was read before
        made.decide.gate.set()
        assert await made.decide.settled.get()


def serving_nothing():
    meter = MemoryMeter()
    return Server(CurrentPipeline(Pipeline([], "v1", meter)), ByteBudget(1), meter)


async def test_a_socket_that_is_served_is_not_taken_over(rig):
    async with rig() as made:
        second = serving_nothing()
        with pytest.raises(RuntimeError, match=r"another process listens on .*w\.sock"):
            await second.start(made.listen)
        await second.drain()
        assert await made.check("readiness") == SERVING


async def test_a_socket_left_behind_is_taken_over(rig, tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "w.sock"))
    async with rig() as made:
        assert await made.check("readiness") == SERVING


async def test_a_port_is_told():
    server = serving_nothing()
    async with asyncio.timeout(GUARD_S):
        port = await server.start("127.0.0.1:0")
        taken = serving_nothing()
        with pytest.raises(RuntimeError, match=str(port)):
            await taken.start(f"127.0.0.1:{port}")
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            reply = await health.Check(health_pb2.HealthCheckRequest(service="readiness"))
            assert reply.status == SERVING
        await server.drain()
        await taken.drain()


async def test_who_follows_streams_to_their_end_takes_no_access_logs(tmp_path):
    async def follow(stream, *_):
        await stream.head()

    meter = MemoryMeter()
    current = CurrentPipeline(Pipeline([], "v1", meter))
    server = Server(current, ByteBudget(1), meter, follow)
    listen = f"unix:{tmp_path}/w.sock"
    await server.start(listen, ready=False)
    async with aio.insecure_channel(listen) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        ask = health_pb2.HealthCheckRequest
        assert (await health.Check(ask(service="readiness"))).status != SERVING
        assert (await health.Check(ask(service="liveness"))).status == SERVING
        server.health.serve()
        assert (await health.Check(ask(service="readiness"))).status == SERVING
        logs = channel.stream_unary(
            "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs",
            StreamAccessLogsMessage.SerializeToString,
            StreamAccessLogsResponse.FromString,
        )
        with pytest.raises(aio.AioRpcError) as refused:
            await logs(iter([StreamAccessLogsMessage()]))
        assert refused.value.code() is StatusCode.UNIMPLEMENTED
    await server.drain(0.0)
