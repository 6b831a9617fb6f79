"""ext_proc's protobuf <-> our values: one `EnvoyStream` for each HTTP request.

How Envoy shows a request body depends on its configuration, which it tells in the first message
(`ProtocolConfiguration`, external_processor.proto). Two ways of answering cover all of them:

    BUFFERED               the headers are answered at once, the body reply decides
    NONE, STREAMED,        the same, after asking for BUFFERED by mode_override: there headers cannot
    BUFFERED_PARTIAL       be changed once the body is known (external_processor.proto, HttpBody)
    FULL_DUPLEX_STREAMED,  the headers' reply waits until the whole body is here, and decides
    STREAMED sent without
    waiting for headers

and a request without a body is decided by the headers' reply. This file, `protobuf.py` below it and
`witness.py` are the only importers of `envoy.*`.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    BodyMutation,
    BodyResponse,
    CommonResponse,
    HeadersResponse,
    ProcessingRequest,
    ProcessingResponse,
    StreamedBodyResponse,
    TrailersResponse,
)

from extproc.action import NAMESPACE, Admit, Answer, Forward, HandOver, Metadata
from extproc.arrive import arrive
from extproc.budget import Held
from extproc.decision import Deny
from extproc.errors import AnswerFirstError, DownstreamGoneError, WireError
from extproc.filter import AnswerMode
from extproc.protobuf import (
    read_claims,
    read_client_ip,
    read_encoding,
    read_served,
    read_status,
    read_subset,
    set_header,
    set_metadata,
)
from extproc.request import Request, Subset
from extproc.stream import Chunk

PIECE_BYTES = 62_000
"""Largest `streamed_response`. Envoy takes at most 64 KiB; the reference endpoint picker of the
Gateway API inference extension uses the same figure, leaving room for the frame around it."""

DUPLEX = ProcessingMode.FULL_DUPLEX_STREAMED
ANSWER_MODES = {
    AnswerMode.STREAMED: ProcessingMode.STREAMED,
    AnswerMode.DUPLEX: ProcessingMode.FULL_DUPLEX_STREAMED,
}

NOTHING: Metadata = {}
STOPPED: Metadata = {NAMESPACE: {"stopped": True}}
"""Settle reads it: the engine may have done more than its client, and Envoy's log, have heard of."""


class Rpc(Protocol):
    """The gRPC call below (`rpc/call.py`), or a script in a test."""

    async def read(self) -> ProcessingRequest | None:
        """Return the next message, or None when Envoy has closed the stream."""
        ...

    async def write(self, message: ProcessingResponse, /) -> None: ...


class EnvoyStream:
    """Implements `stream.Stream`.

    Messages must come in the protocol's order: anything else is a WireError that names the message
    which came and the one awaited, never a wait.
    """

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._bodyless = False
        self._holds_head = False
        self._request_mode = ProcessingMode.NONE
        self._answer_mode = ProcessingMode.NONE
        self._admitted: Metadata = {}
        self._request_chunks = 0
        self._request_trailers = False
        self._in_trailers = False
        self._closes = False
        self._overrides = False
        self._waiting: ProcessingRequest | None = None
        self.status = 0
        """Of the answer, once its headers were shown."""
        self.served = ""
        """The endpoint it came from, where Envoy tells."""

    async def head(self) -> Request:
        message = await self._read("request_headers", "response_headers")
        config = message.protocol_config
        if message.observability_mode:
            raise WireError("observability", "observability_mode is on: decisions would be ignored")
        self._request_mode = config.request_body_mode
        self._answer_mode = config.response_body_mode
        if message.HasField("response_headers"):
            self._waiting = message
            raise AnswerFirstError("order", "an answer came where request_headers was awaited")
        self._bodyless = message.request_headers.end_of_stream
        early = config.send_body_without_waiting_for_header_response
        self._holds_head = self._request_mode == DUPLEX or (
            self._request_mode == ProcessingMode.STREAMED and early
        )
        headers = message.request_headers.headers.headers
        request = arrive(
            [(h.key, h.raw_value.decode("latin-1") or h.value) for h in headers],
            read_client_ip(message),
            read_claims(message),
        )
        subset = read_subset(message)
        return request if subset is None else request.having(Subset(subset))

    async def admit(self, admit: Admit) -> None:
        self._admitted = admit.metadata
        if self._bodyless or self._holds_head:
            return
        message = ProcessingResponse()
        message.request_headers.response.SetInParent()
        set_metadata(message.dynamic_metadata, admit.metadata)
        wish = ANSWER_MODES.get(admit.answer)
        if self._request_mode != ProcessingMode.BUFFERED or wish is not None:
            self._answer_mode = self._answer_mode if wish is None else wish
            message.mode_override.CopyFrom(self._override(wish))
            self._overrides = self._request_mode != ProcessingMode.BUFFERED
            self._request_mode = ProcessingMode.BUFFERED
        await self._rpc.write(message)

    def _override(self, wish: int | None) -> ProcessingMode:
        """Body modes are always taken from an override, so both are said again."""
        mode = ProcessingMode(
            request_body_mode=ProcessingMode.BUFFERED, response_body_mode=self._answer_mode
        )
        if wish is not None:
            mode.response_header_mode = ProcessingMode.SEND
        if wish == DUPLEX:  # Envoy refuses full duplex without the trailers
            mode.response_trailer_mode = ProcessingMode.SEND
        return mode

    async def body(self, held: Held) -> bytes | Deny:
        if self._bodyless:
            return b""
        pieces: list[bytes] = []
        while True:
            message = await self._read_body()
            if message.HasField("request_trailers"):
                self._request_trailers = True
                break
            part = message.request_body
            self._request_chunks += 1
            pieces.append(part.body)
            if denial := held.take(len(part.body)):
                return denial
            if part.end_of_stream or not self._holds_head:
                break  # BUFFERED: one message is all; its end_of_stream is false before trailers
        return b"".join(pieces)

    async def _read_body(self) -> ProcessingRequest:
        try:
            return await self._read("request_body", "request_trailers")
        except DownstreamGoneError:
            if not self._overrides:
                raise
            # Where overrides are not allowed, Envoy has sent the request on without asking. Only a
            # route that is closed by default stops it then: docs/dataplane.md.
            message = "no body came after BUFFERED was asked for: allow_mode_override must be on"
            raise WireError("override", message) from None

    async def forward(self, forward: Forward) -> None:
        message = ProcessingResponse()
        by_headers = self._holds_head or self._bodyless
        reply = message.request_headers if by_headers else message.request_body
        change = reply.response
        change.clear_route_cache = True
        for name, value in forward.set_headers.items():
            set_header(change.header_mutation, name, value)
        change.header_mutation.remove_headers.extend(forward.remove_headers)
        set_metadata(message.dynamic_metadata, {**self._admitted, **forward.metadata})
        if not by_headers:
            change.body_mutation.body = forward.body
            # Must match the new body, or Envoy answers 500.
            set_header(change.header_mutation, "content-length", str(len(forward.body)))
        await self._rpc.write(message)
        if self._holds_head and not self._bodyless:
            await self._send_body(forward.body)

    async def _send_body(self, body: bytes) -> None:
        if self._request_mode == DUPLEX:
            await self._send_pieces(body, last=not self._request_trailers, request=True)
        else:  # one reply for each chunk: all of the body in the first, nothing in the others
            for index in range(self._request_chunks):
                part = BodyMutation(clear_body=True) if index else BodyMutation(body=body)
                reply = BodyResponse(response=CommonResponse(body_mutation=part))
                await self._rpc.write(ProcessingResponse(request_body=reply))
        if self._request_trailers:
            await self._rpc.write(ProcessingResponse(request_trailers=TrailersResponse()))

    async def _send_pieces(
        self, body: bytes, *, last: bool, request: bool, metadata: Metadata = NOTHING
    ) -> None:
        """Send `streamed_response`s, each with `metadata`. An empty one goes out only to say that it was the
        last."""
        starts = range(0, len(body), PIECE_BYTES) or (range(1) if last else range(0))
        for start in starts:
            end = start + PIECE_BYTES
            piece = StreamedBodyResponse(
                body=body[start:end], end_of_stream=last and end >= len(body)
            )
            change = CommonResponse(body_mutation=BodyMutation(streamed_response=piece))
            reply = BodyResponse(response=change)
            message = (
                ProcessingResponse(request_body=reply)
                if request
                else ProcessingResponse(response_body=reply)
            )
            set_metadata(message.dynamic_metadata, metadata)
            await self._rpc.write(message)

    async def hand_over(self, hand_over: HandOver, held: Held) -> None:
        """Reply to the headers so that the body passes by; where it cannot, pass it on ourselves."""
        if self._holds_head and not self._bodyless:
            body = await self.body(held)
            if isinstance(body, Deny):
                raise WireError("hand_over", "the body of a request to hand over is too large")
        else:
            self._bodyless, body = True, b""
        forward = Forward(hand_over.metadata, body, hand_over.set_headers, hand_over.remove_headers)
        await self.forward(forward)

    async def stretch(self, most_s: float) -> None:
        message = ProcessingResponse()
        message.override_message_timeout.FromNanoseconds(round(most_s * 1e9))
        await self._rpc.write(message)

    async def answer(self, answer: Answer) -> None:
        message = ProcessingResponse()
        immediate = message.immediate_response
        immediate.status.code = answer.status
        immediate.body = answer.body
        immediate.details = answer.details
        for name, value in answer.headers.items():
            set_header(immediate.headers, name, value)
        set_metadata(message.dynamic_metadata, {**self._admitted, **answer.metadata})
        await self._rpc.write(message)
        if DUPLEX in (self._request_mode, self._answer_mode):
            while await self._rpc.read():  # never the first to close: see `may_leave`
                pass

    @property
    def may_leave(self) -> bool:
        return DUPLEX not in (self._request_mode, self._answer_mode)

    @property
    def may_push(self) -> bool:
        return self._answer_mode == DUPLEX

    async def chunks(self, *, plain: bool = False) -> AsyncIterator[Chunk]:
        """Yield body chunks; answer headers and trailers on the way."""
        ended = False
        while message := self._waiting or await self._rpc.read():
            self._waiting = None
            match message.WhichOneof("request"):
                case "response_headers":
                    await self._meet_head(message, plain=plain)
                    if message.response_headers.end_of_stream:
                        return
                case "response_body":
                    part = message.response_body
                    self._closes = part.end_of_stream
                    ended = part.end_of_stream or self._answer_mode == ProcessingMode.BUFFERED
                    yield Chunk(part.body, ended)
                    if part.end_of_stream:
                        return
                case "response_trailers":
                    if not ended:
                        self._in_trailers, self._closes = True, False
                        yield Chunk(b"", last=True)
                    await self._rpc.write(ProcessingResponse(response_trailers=TrailersResponse()))
                    return
                case "request_body" if self._request_mode == DUPLEX:
                    pass  # its end once more: envoyproxy/envoy issue 46237, seen from 1.35 to 1.37
                case "request_trailers":  # of a BUFFERED body, which was answered without them
                    await self._rpc.write(ProcessingResponse(request_trailers=TrailersResponse()))
                case other:
                    raise WireError("order", f"{other} came where the answer was awaited")

    async def _meet_head(self, message: ProcessingRequest, *, plain: bool) -> None:
        self.status, self.served = read_status(message), read_served(message)
        if plain and (encoding := read_encoding(message)):
            # Its headers still wait for us, so what Envoy answers instead is a clean 503.
            raise WireError("encoded", f"an answer that is to be read came as {encoding}")
        reply = HeadersResponse(response=CommonResponse())
        await self._rpc.write(ProcessingResponse(response_headers=reply))

    async def replace(self, data: bytes) -> None:
        if self._answer_mode == DUPLEX:
            await self._send_pieces(data, last=self._closes, request=False)
        elif not self._in_trailers:
            change = CommonResponse(body_mutation=BodyMutation(body=data))
            reply = BodyResponse(response=change)
            await self._rpc.write(ProcessingResponse(response_body=reply))
        elif data:
            raise WireError("held_at_trailers", "trailers came while answer bytes were held back")

    async def end(self, data: bytes) -> None:
        if self._answer_mode == DUPLEX:
            await self._send_pieces(data, last=True, request=False, metadata=STOPPED)
            while await self._rpc.read():  # the engine is stopped by Envoy; see `may_leave`
                pass
            return
        await self.replace(data)
        async for _ in self.chunks():
            await self.replace(b"")

    async def _read(self, *kinds: str) -> ProcessingRequest:
        message = await self._rpc.read()
        if not message:
            raise DownstreamGoneError(f"the stream ended where {' or '.join(kinds)} was awaited")
        if (kind := message.WhichOneof("request")) not in kinds:
            raise WireError("order", f"{kind} came where {' or '.join(kinds)} was awaited")
        return message
