"""The least that any ext_proc service in Python does: `python -m bench.echo`.

The same messages and the same loop as Headgate, and no decision: the headers' reply carries a little
metadata; the body's reply returns the body as it came, with pool, endpoint and length; then the RPC
ends. Access logs are taken and dropped.

It stands on grpc.aio, like every ext_proc service in Python that we know of; with `--own` on Headgate's
own gRPC. What Headgate costs above the latter is the price of deciding; what lies between the two
is the price of grpc.aio.
"""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol, cast

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

from extproc.rpc.call import Call, Method
from extproc.rpc.connection import Methods
from extproc.rpc.health import Health
from extproc.rpc.listener import Listener

EXT_PROC = "envoy.service.ext_proc.v3.ExternalProcessor"
ACCESS_LOG = "envoy.service.accesslog.v3.AccessLogService"
OPTIONS = (("grpc.so_reuseport", 0),)
MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message: grpc.aio's default."""

Context = aio.ServicerContext[ProcessingRequest, ProcessingResponse]


class Rpc(Protocol):
    """What both ways to speak gRPC have in common. Both return something false at the end."""

    async def read(self) -> object: ...
    async def write(self, message: ProcessingResponse, /) -> None: ...


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

    async def process(self, rpc: Rpc) -> None:
        await rpc.read()
        await rpc.write(self._admit)
        message = cast("ProcessingRequest | None", await rpc.read())
        if not message:  # the client is gone
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
        await rpc.write(ProcessingResponse(request_body=reply, dynamic_metadata=self._metadata))


async def drop(messages: AsyncIterable[StreamAccessLogsMessage]) -> None:
    """Take access log entries for as long as they come."""
    async for _ in messages:
        pass


def header(name: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode()))


def struct(namespaces: dict[str, dict[str, str]]) -> Struct:
    made = Struct()
    made.update(namespaces)
    return made


async def serve(listen: str, echo: Echo) -> None:
    """Serve over grpc.aio until SIGTERM."""

    async def process(_: AsyncIterator[ProcessingRequest], context: Context) -> None:
        await echo.process(context)

    async def collect(messages: AsyncIterable[StreamAccessLogsMessage], _: object) -> object:
        await drop(messages)
        return StreamAccessLogsResponse()

    server = aio.server(options=OPTIONS)
    processing = grpc.stream_stream_rpc_method_handler(
        process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
    )
    collecting = grpc.stream_unary_rpc_method_handler(
        collect, StreamAccessLogsMessage.FromString, StreamAccessLogsResponse.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(EXT_PROC, {"Process": processing}),
            grpc.method_handlers_generic_handler(ACCESS_LOG, {"StreamAccessLogs": collecting}),
        )
    )
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set(EXT_PROC, health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(listen)
    await server.start()
    await stopped()
    await server.stop(0)


async def serve_own(listen: str, echo: Echo) -> None:
    """Serve over Headgate's own gRPC until SIGTERM."""

    async def collect(call: Call[StreamAccessLogsMessage, StreamAccessLogsResponse]) -> None:
        await drop(call)
        await call.write(StreamAccessLogsResponse())

    health = Health([EXT_PROC])
    methods: Methods = {
        f"/{EXT_PROC}/Process": Method(
            echo.process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
        ),
        f"/{ACCESS_LOG}/StreamAccessLogs": Method(
            collect, StreamAccessLogsMessage.FromString, StreamAccessLogsResponse.SerializeToString
        ),
    }
    listener = Listener({**methods, **health.methods()}, MESSAGE_BYTES)
    await listener.start(listen)
    health.serve()
    await stopped()
    await listener.drain(0)


async def stopped() -> None:
    """Wait for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.echo")
    parser.add_argument("--listen", required=True, help="unix:PATH or ip:port")
    parser.add_argument("--pool", required=True)
    parser.add_argument("--endpoint", required=True, help="ip:port")
    parser.add_argument("--own", action="store_true", help="on Headgate's own gRPC")
    flags = parser.parse_args()
    run = serve_own if flags.own else serve
    uvloop.run(run(flags.listen, Echo(flags.pool, flags.endpoint)))


if __name__ == "__main__":
    main()
