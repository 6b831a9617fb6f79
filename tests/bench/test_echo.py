from envoy.service.ext_proc.v3.external_processor_pb2 import HttpBody, ProcessingRequest
from grpc import aio

from bench.echo import Echo


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
    await Echo("json", "127.0.0.1:7").process(None, rpc)
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
    await Echo("json", "127.0.0.1:7").process(None, rpc)
    assert len(rpc.sent) == 1
