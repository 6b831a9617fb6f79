"""The gRPC server of one worker: ext_proc, access logs, health, drain."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import grpc
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from google.protobuf.message import DecodeError
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from extproc.budget import MAX_BODY_BYTES, ByteBudget
from extproc.errors import DownstreamGoneError, WireError
from extproc.ports import Meter
from extproc.stream import serve
from extproc.wire import EnvoyStream
from extproc.witness import CurrentPipeline, settle_all
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
ACCESS_LOG_SERVICE = "envoy.service.accesslog.v3.AccessLogService"
HEALTH_SERVICES = ("", "liveness", "readiness", SERVICE)
"""The server as a whole, and the names the reference endpoint picker of the Gateway API inference
extension answers to."""

DRAIN_S = 5.0
"""How long open decisions may take to finish. The slowest decide within milliseconds of their last
body byte; five seconds cover a large body on a slow link."""

OPTIONS = (
    # grpcio's default of 4 MiB would turn larger bodies into 500s.
    ("grpc.max_receive_message_length", MAX_BODY_BYTES + 1024 * 1024),
    ("grpc.max_send_message_length", MAX_BODY_BYTES + 1024 * 1024),
    # One address, one process: a second binder is a mistake to be told of. Unix sockets need more:
    # see `check_free`.
    ("grpc.so_reuseport", 0),
)

Context = aio.ServicerContext[ProcessingRequest, ProcessingResponse]


class GrpcRpc:
    """Implements `wire.Rpc` over grpc.aio, whose end of stream is an object of its own."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.write = context.write

    async def read(self) -> ProcessingRequest | None:
        message = await self._context.read()
        return cast("ProcessingRequest | None", message) or None  # grpc.aio.EOF is false


class Server:
    """One worker's server. `current.pipeline` may be swapped at any time: each stream reads it
    once, at its beginning."""

    def __init__(self, current: CurrentPipeline, budget: ByteBudget, meter: Meter) -> None:
        self._current = current
        self._budget = budget
        self._meter = meter
        self._draining = asyncio.Event()
        self._health = health_aio.HealthServicer()
        self._server = aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((self._ext_proc(), self._access_log()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def _ext_proc(self) -> grpc.GenericRpcHandler:
        process = grpc.stream_stream_rpc_method_handler(
            self.process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})

    def _access_log(self) -> grpc.GenericRpcHandler:
        collect = grpc.stream_unary_rpc_method_handler(
            self.collect,
            self._read_entries,
            StreamAccessLogsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            ACCESS_LOG_SERVICE, {"StreamAccessLogs": collect}
        )

    async def process(self, _: AsyncIterator[ProcessingRequest], context: Context) -> None:
        """Serve one HTTP request. Every exit but a finished one is an abort: in full duplex an
        early OK would lose bytes silently, and elsewhere it would let the request through."""
        stream = EnvoyStream(GrpcRpc(context))
        try:
            await serve(stream, self._current.pipeline, self._budget, self._meter)
        except DownstreamGoneError:
            await context.abort(grpc.StatusCode.CANCELLED, "downstream is gone")
        except WireError as exc:
            self._meter.wire_fault(exc.kind)
            log.error(Event.WIRE_FAULT, kind=exc.kind, error=str(exc))
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(exc))
        except Exception as exc:
            self._meter.wire_fault("internal")
            log.error(Event.STREAM_FAULT, exc)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    async def collect(
        self, messages: AsyncIterable[StreamAccessLogsMessage], _: object
    ) -> StreamAccessLogsResponse:
        """Take Envoy's access log until it ends, or until we drain: Envoy never ends it by itself,
        and opens another one elsewhere when we do."""
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(settle_all(messages, self._current))
            draining = tasks.create_task(self._draining.wait())
            await asyncio.wait({settling, draining}, return_when=asyncio.FIRST_COMPLETED)
            settling.cancel()
            draining.cancel()
        return StreamAccessLogsResponse()

    def _read_entries(self, raw: bytes) -> StreamAccessLogsMessage:
        """Decode access log entries. One with a header that is not UTF-8 cannot be decoded; raising
        would end the stream and lose others, so it alone is lost here. The ledger has it: Envoy
        escapes such bytes in the JSON log."""
        try:
            return StreamAccessLogsMessage.FromString(raw)
        except DecodeError:
            self._meter.wire_fault("access_log")
            return StreamAccessLogsMessage()

    async def start(self, listen: str) -> int:
        """Listen, then say so. Return the port, for TCP. Raises: RuntimeError if it is taken."""
        if listen.startswith("unix:"):
            await check_free(listen.removeprefix("unix:"))
        port = self._server.add_insecure_port(listen)
        await self._server.start()
        await self._tell(serving=True)
        return port

    async def drain(self) -> None:
        """Send new requests elsewhere and let open decisions finish, for `DRAIN_S` at most."""
        await self._tell(serving=False)
        self._draining.set()
        await self._server.stop(DRAIN_S)

    async def _tell(self, *, serving: bool) -> None:
        known = health_pb2.HealthCheckResponse
        status = known.SERVING if serving else known.NOT_SERVING
        await asyncio.gather(*(self._health.set(name, status) for name in HEALTH_SERVICES))


async def check_free(path: str) -> None:
    """See that nobody listens on a unix socket: gRPC would take it over without a word.

    Raises:
        RuntimeError: Somebody does.
    """
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return  # not there, or left behind by a process that is gone
    writer.close()
    raise RuntimeError(f"another process listens on {path}")
