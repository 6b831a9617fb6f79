import asyncio
import os
import signal

import pytest
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    ProcessingRequest,
    ProcessingResponse,
)
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.echo import ACCESS_LOG, EXT_PROC, Echo, serve, serve_own


class Rpc:
    """A script of messages from Envoy; what it is sent is kept."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.sent = []

    async def read(self):
        return self.messages.pop(0) if self.messages else aio.EOF

    async def write(self, message):
        self.sent.append(message)


HEADERS = ProcessingRequest(request_headers={"end_of_stream": False})
BODY = ProcessingRequest(request_body=HttpBody(body=b'{"a": 1}', end_of_stream=True))


async def test_the_body_comes_back_with_pool_and_endpoint():
    rpc = Rpc(HEADERS, BODY)
    await Echo("json", "127.0.0.1:7").process(rpc)
    admit, forward = rpc.sent
    assert admit.WhichOneof("response") == "request_headers"
    assert admit.dynamic_metadata["headgate"]["operation"] == "chat"
    change = forward.request_body.response
    assert change.body_mutation.body == b'{"a": 1}'
    assert change.clear_route_cache
    headers = {h.header.key: h.header.raw_value for h in change.header_mutation.set_headers}
    assert headers == {
        "x-headgate-pool": b"json",
        "x-gateway-destination-endpoint": b"127.0.0.1:7",
        "content-length": b"8",
    }
    named = forward.dynamic_metadata["envoy.lb"]["x-gateway-destination-endpoint"]
    assert named == "127.0.0.1:7"


async def test_a_client_that_leaves_is_no_fault():
    rpc = Rpc(HEADERS)
    await Echo("json", "127.0.0.1:7").process(rpc)
    assert len(rpc.sent) == 1


@pytest.mark.parametrize("run", [serve, serve_own])
async def test_both_ways_of_speaking_grpc_say_the_same(run, tmp_path):
    listen = f"unix:{tmp_path}/w"
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(run(listen, Echo("json", "127.0.0.1:7")))
        async with aio.insecure_channel(listen) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service=EXT_PROC)
            answer = await health.Check(asked, wait_for_ready=True)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            encode, decode = ProcessingRequest.SerializeToString, ProcessingResponse.FromString
            call = channel.stream_stream(f"/{EXT_PROC}/Process", encode, decode)()
            for message, reply in ((HEADERS, "request_headers"), (BODY, "request_body")):
                await call.write(message)
                assert (await call.read()).WhichOneof("response") == reply
            assert await call.code() is StatusCode.OK
            logs = channel.stream_unary(f"/{ACCESS_LOG}/StreamAccessLogs")()
            await logs.write(b"")
            await logs.done_writing()
            assert await logs == b""
        os.kill(os.getpid(), signal.SIGTERM)
