"""The gRPC server of one worker: ext_proc, access logs, health, drain."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from google.protobuf.message import DecodeError

from extproc.budget import MAX_BODY_BYTES, ByteBudget
from extproc.errors import DownstreamGoneError, WireError
from extproc.pipeline import Pipeline
from extproc.ports import Meter
from extproc.protobuf import mask_text
from extproc.rpc.call import Call, Method
from extproc.rpc.connection import Methods
from extproc.rpc.health import Health
from extproc.rpc.listener import Listener
from extproc.rpc.status import CallError, Status
from extproc.stream import serve
from extproc.wire import EnvoyStream
from extproc.witness import CurrentPipeline, settle_all
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
ACCESS_LOG_SERVICE = "envoy.service.accesslog.v3.AccessLogService"
HEALTH_SERVICES = ("", "readiness", SERVICE)
"""The server as a whole, and the names the reference endpoint picker of the Gateway API inference
extension answers to."""
ALIVE_SERVICES = ("liveness",)
"""Well while the process runs: one that drains is not to be killed for it."""

DRAIN_S = 5.0
"""How long open decisions may take to finish. The slowest decide within milliseconds of their last
body byte; five seconds cover a large body on a slow link."""

MESSAGE_BYTES = MAX_BODY_BYTES + 1024 * 1024
"""Largest message: a body, and what stands around it."""

Process = Call[ProcessingRequest, ProcessingResponse]
Life = Callable[[EnvoyStream, Pipeline, ByteBudget, Meter], Awaitable[None]]
"""What becomes of one stream."""
Collect = Call[StreamAccessLogsMessage, StreamAccessLogsResponse]


class Server:
    """One worker's server. `current.pipeline` may be swapped at any time: each stream reads it
    once, at its beginning."""

    def __init__(
        self,
        current: CurrentPipeline,
        budget: ByteBudget,
        meter: Meter,
        life: Life = serve,
        tls: ssl.SSLContext | None = None,
        heard: Callable[[], object] = lambda: None,
    ) -> None:
        """`heard` is called when Envoy begins to tell of ends: it may have told somebody else before."""
        self._current = current
        self._budget = budget
        self._meter = meter
        self._life = life
        self._heard = heard
        self._draining = asyncio.Event()
        self.health = Health(HEALTH_SERVICES, ALIVE_SERVICES)
        methods = {**self._methods(), **self.health.methods()}
        self._listener = Listener(methods, MESSAGE_BYTES, tls)

    def _methods(self) -> Methods:
        """Access logs are for streams that are left early. Others see their own ends, and whoever
        reaches them by the network must not be able to tell of other ones."""
        process = Method(
            self.process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
        )
        collect = Method(
            self.collect,
            self._read_entries,
            StreamAccessLogsResponse.SerializeToString,
            hears_out=True,
        )
        methods: Methods = {f"/{SERVICE}/Process": process}
        if self._life is serve:
            methods = {**methods, f"/{ACCESS_LOG_SERVICE}/StreamAccessLogs": collect}
        return methods

    async def process(self, call: Process) -> None:
        """Serve one HTTP request. Every exit but a finished one is an error: in full duplex an
        early OK would lose bytes silently, and elsewhere it would let the request through."""
        try:
            await self._life(EnvoyStream(call), self._current.pipeline, self._budget, self._meter)
        except DownstreamGoneError as exc:
            raise CallError(Status.CANCELLED, "downstream is gone") from exc
        except WireError as exc:
            self._meter.wire_fault(exc.kind)
            log.error(Event.WIRE_FAULT, kind=exc.kind, error=str(exc))
            raise CallError(Status.FAILED_PRECONDITION, str(exc)) from exc
        except CallError:  # what came was no message, or too large a one
            self._meter.wire_fault("message")
            raise
        except Exception as exc:
            self._meter.wire_fault("internal")
            log.error(Event.STREAM_FAULT, exc)
            raise CallError(Status.INTERNAL, "internal error") from exc

    async def collect(self, call: Collect) -> None:
        """Take Envoy's access log until it ends, or until we drain: Envoy never ends it by itself,
        and opens another one elsewhere when we do."""
        self._heard()
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(settle_all(call, self._current))
            draining = tasks.create_task(self._draining.wait())
            await asyncio.wait({settling, draining}, return_when=asyncio.FIRST_COMPLETED)
            call.end()
            draining.cancel()
        await call.write(StreamAccessLogsResponse())

    def _read_entries(self, raw: bytes) -> StreamAccessLogsMessage:
        """Decode access log entries. Envoy repeats a client's `x-request-id` in them byte by byte, and
        one that is not UTF-8 makes them no message. It must not hide how its request ended: what
        that has used, or that it was refused. What cannot be mended is lost alone, for raising
        would end the stream."""
        kind = StreamAccessLogsMessage
        try:
            return kind.FromString(raw)
        except DecodeError:
            pass
        try:
            return kind.FromString(mask_text(raw, kind))
        except DecodeError:
            self._meter.wire_fault("access_log")
            return kind()

    async def start(self, listen: str, *, ready: bool = True) -> int:
        """Listen, then say so; `ready` is False when `health.serve` is to be called later. Return
        the port, for TCP. Raises: RuntimeError if it is taken."""
        port = await self._listener.start(listen)
        if ready:
            self.health.serve()
        return port

    async def drain(self, grace_s: float = DRAIN_S) -> None:
        """Send new requests elsewhere and let open streams finish, for `grace_s` at most."""
        self.health.leave()
        self._draining.set()
        await self._listener.drain(grace_s)
