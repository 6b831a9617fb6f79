"""The least that any ext_proc service in Python does: `python -m bench.echo`.

Same gRPC stack, loop and messages as Headgate, and no decision: the headers' reply carries a little
metadata; the body's reply returns the body as it came, with pool, endpoint and length; then the RPC
ends. Access logs are taken and dropped. What Headgate costs above this is the price of deciding.
"""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import grpc
import uvloop
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from google.protobuf.struct_pb2 import Struct
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"
ACCESS_LOG = "envoy.service.accesslog.v3.AccessLogService"
OPTIONS = (("grpc.so_reuseport", 0),)

Context = aio.ServicerContext[ProcessingRequest, ProcessingResponse]


class Echo:
    """Answers every request alike."""

    def __init__(self, pool: str, endpoint: str) -> None:
        self._headers = [
            header("x-headgate-pool", pool),
            header("x-gateway-destination-endpoint", endpoint),
        ]
        known = {"settle_key": "echo", "operation": "chat", "tenant": "echo"}
        self._admit = ProcessingResponse(
            request_headers=HeadersResponse(response=CommonResponse()),
            dynamic_metadata=struct({"headgate": known}),
        )
        self._metadata = struct(
            {
                "headgate": {**known, "model": "bench", "pool": pool},
                "envoy.lb": {"x-gateway-destination-endpoint": endpoint},
            }
        )

    async def process(self, _: AsyncIterator[ProcessingRequest], context: Context) -> None:
        await context.read()
        await context.write(self._admit)
        message = cast("ProcessingRequest | None", await context.read())
        if not message:  # grpc.aio.EOF is false: the client is gone
            return
        body = message.request_body.body
        change = CommonResponse(
            header_mutation=HeaderMutation(
                set_headers=[*self._headers, header("content-length", str(len(body)))]
            ),
            body_mutation=BodyMutation(body=body),
            clear_route_cache=True,
        )
        reply = BodyResponse(response=change)
        await context.write(ProcessingResponse(request_body=reply, dynamic_metadata=self._metadata))


async def drop(messages: AsyncIterable[StreamAccessLogsMessage], _: object) -> object:
    """Take access log entries for as long as they come."""
    async for _message in messages:
        pass
    return StreamAccessLogsResponse()


def header(name: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()))


def struct(namespaces: dict[str, dict[str, str]]) -> Struct:
    made = Struct()
    made.update(namespaces)
    return made


async def serve(listen: str, echo: Echo) -> None:
    """Serve until SIGTERM."""
    server = aio.server(options=OPTIONS)
    process = grpc.stream_stream_rpc_method_handler(
        echo.process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
    )
    logs = grpc.stream_unary_rpc_method_handler(
        drop, StreamAccessLogsMessage.FromString, StreamAccessLogsResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(EXT_PROC, {"Process": process}),
            grpc.method_handlers_generic_handler(ACCESS_LOG, {"StreamAccessLogs": logs}),
        )
    )
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set(EXT_PROC, health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(listen)
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.echo")
    parser.add_argument("--listen", required=True, help="unix:PATH or ip:port")
    parser.add_argument("--pool", required=True)
    parser.add_argument("--endpoint", required=True, help="ip:port")
    flags = parser.parse_args()
    uvloop.run(serve(flags.listen, Echo(flags.pool, flags.endpoint)))


if __name__ == "__main__":
    main()
