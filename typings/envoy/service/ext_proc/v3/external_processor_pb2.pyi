# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

import envoy.config.core.v3.base_pb2
import envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2
import envoy.type.v3.http_status_pb2
import google.protobuf.duration_pb2
import google.protobuf.struct_pb2
from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class ProcessingRequest(Message):
    request_headers: HttpHeaders
    request_body: HttpBody
    request_trailers: HttpTrailers
    response_headers: HttpHeaders
    response_body: HttpBody
    response_trailers: HttpTrailers
    attributes: MessageMap[str, google.protobuf.struct_pb2.Struct]
    metadata_context: envoy.config.core.v3.base_pb2.Metadata
    observability_mode: bool
    protocol_config: ProtocolConfiguration
    def __init__(self, *, request_headers: HttpHeaders | None = ..., request_body: HttpBody | None = ..., request_trailers: HttpTrailers | None = ..., response_headers: HttpHeaders | None = ..., response_body: HttpBody | None = ..., response_trailers: HttpTrailers | None = ..., attributes: Mapping[str, google.protobuf.struct_pb2.Struct] | None = ..., metadata_context: envoy.config.core.v3.base_pb2.Metadata | None = ..., observability_mode: bool | None = ..., protocol_config: ProtocolConfiguration | None = ...) -> None: ...
class ProcessingResponse(Message):
    request_headers: HeadersResponse
    request_body: BodyResponse
    request_trailers: TrailersResponse
    response_headers: HeadersResponse
    response_body: BodyResponse
    response_trailers: TrailersResponse
    immediate_response: ImmediateResponse
    dynamic_metadata: google.protobuf.struct_pb2.Struct
    mode_override: envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2.ProcessingMode
    override_message_timeout: google.protobuf.duration_pb2.Duration
    def __init__(self, *, request_headers: HeadersResponse | None = ..., request_body: BodyResponse | None = ..., request_trailers: TrailersResponse | None = ..., response_headers: HeadersResponse | None = ..., response_body: BodyResponse | None = ..., response_trailers: TrailersResponse | None = ..., immediate_response: ImmediateResponse | None = ..., dynamic_metadata: google.protobuf.struct_pb2.Struct | None = ..., mode_override: envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2.ProcessingMode | None = ..., override_message_timeout: google.protobuf.duration_pb2.Duration | None = ...) -> None: ...
class ProtocolConfiguration(Message):
    request_body_mode: int
    response_body_mode: int
    send_body_without_waiting_for_header_response: bool
    def __init__(self, *, request_body_mode: int | None = ..., response_body_mode: int | None = ..., send_body_without_waiting_for_header_response: bool | None = ...) -> None: ...
class HttpHeaders(Message):
    headers: envoy.config.core.v3.base_pb2.HeaderMap
    end_of_stream: bool
    def __init__(self, *, headers: envoy.config.core.v3.base_pb2.HeaderMap | None = ..., end_of_stream: bool | None = ...) -> None: ...
class HttpBody(Message):
    body: bytes
    end_of_stream: bool
    def __init__(self, *, body: bytes | None = ..., end_of_stream: bool | None = ...) -> None: ...
class HttpTrailers(Message):
    trailers: envoy.config.core.v3.base_pb2.HeaderMap
    def __init__(self, *, trailers: envoy.config.core.v3.base_pb2.HeaderMap | None = ...) -> None: ...
class HeadersResponse(Message):
    response: CommonResponse
    def __init__(self, *, response: CommonResponse | None = ...) -> None: ...
class BodyResponse(Message):
    response: CommonResponse
    def __init__(self, *, response: CommonResponse | None = ...) -> None: ...
class TrailersResponse(Message):
    header_mutation: HeaderMutation
    def __init__(self, *, header_mutation: HeaderMutation | None = ...) -> None: ...
class CommonResponse(Message):
    CONTINUE: int
    CONTINUE_AND_REPLACE: int
    status: int
    header_mutation: HeaderMutation
    body_mutation: BodyMutation
    clear_route_cache: bool
    def __init__(self, *, status: int | None = ..., header_mutation: HeaderMutation | None = ..., body_mutation: BodyMutation | None = ..., clear_route_cache: bool | None = ...) -> None: ...
class HeaderMutation(Message):
    set_headers: RepeatedCompositeFieldContainer[envoy.config.core.v3.base_pb2.HeaderValueOption]
    remove_headers: RepeatedScalarFieldContainer[str]
    def __init__(self, *, set_headers: Iterable[envoy.config.core.v3.base_pb2.HeaderValueOption] | None = ..., remove_headers: Iterable[str] | None = ...) -> None: ...
class BodyMutation(Message):
    body: bytes
    clear_body: bool
    streamed_response: StreamedBodyResponse
    def __init__(self, *, body: bytes | None = ..., clear_body: bool | None = ..., streamed_response: StreamedBodyResponse | None = ...) -> None: ...
class StreamedBodyResponse(Message):
    body: bytes
    end_of_stream: bool
    def __init__(self, *, body: bytes | None = ..., end_of_stream: bool | None = ...) -> None: ...
class ImmediateResponse(Message):
    status: envoy.type.v3.http_status_pb2.HttpStatus
    headers: HeaderMutation
    body: bytes
    details: str
    def __init__(self, *, status: envoy.type.v3.http_status_pb2.HttpStatus | None = ..., headers: HeaderMutation | None = ..., body: bytes | None = ..., details: str | None = ...) -> None: ...
