# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

import envoy.config.core.v3.address_pb2
import envoy.config.core.v3.base_pb2
import google.protobuf.duration_pb2
import google.protobuf.wrappers_pb2
from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

NotSet: int
TcpUpstreamConnected: int
TcpPeriodic: int
TcpConnectionEnd: int
DownstreamStart: int
DownstreamPeriodic: int
DownstreamEnd: int
UpstreamPoolReady: int
UpstreamPeriodic: int
UpstreamEnd: int
DownstreamTunnelSuccessfullyEstablished: int
UdpTunnelUpstreamConnected: int
UdpPeriodic: int
UdpSessionEnd: int
class HTTPAccessLogEntry(Message):
    PROTOCOL_UNSPECIFIED: int
    HTTP10: int
    HTTP11: int
    HTTP2: int
    HTTP3: int
    common_properties: AccessLogCommon
    response: HTTPResponseProperties
    def __init__(self, *, common_properties: AccessLogCommon | None = ..., response: HTTPResponseProperties | None = ...) -> None: ...
class AccessLogCommon(Message):
    metadata: envoy.config.core.v3.base_pb2.Metadata
    response_flags: ResponseFlags
    upstream_request_attempt_count: int
    access_log_type: int
    downstream_remote_address: envoy.config.core.v3.address_pb2.Address
    upstream_remote_address: envoy.config.core.v3.address_pb2.Address
    time_to_first_upstream_tx_byte: google.protobuf.duration_pb2.Duration
    time_to_last_downstream_tx_byte: google.protobuf.duration_pb2.Duration
    def __init__(self, *, metadata: envoy.config.core.v3.base_pb2.Metadata | None = ..., response_flags: ResponseFlags | None = ..., upstream_request_attempt_count: int | None = ..., access_log_type: int | None = ..., downstream_remote_address: envoy.config.core.v3.address_pb2.Address | None = ..., upstream_remote_address: envoy.config.core.v3.address_pb2.Address | None = ..., time_to_first_upstream_tx_byte: google.protobuf.duration_pb2.Duration | None = ..., time_to_last_downstream_tx_byte: google.protobuf.duration_pb2.Duration | None = ...) -> None: ...
class ResponseFlags(Message):
    no_healthy_upstream: bool
    upstream_connection_failure: bool
    upstream_connection_termination: bool
    upstream_remote_reset: bool
    upstream_request_timeout: bool
    upstream_retry_limit_exceeded: bool
    def __init__(self, *, no_healthy_upstream: bool | None = ..., upstream_connection_failure: bool | None = ..., upstream_connection_termination: bool | None = ..., upstream_remote_reset: bool | None = ..., upstream_request_timeout: bool | None = ..., upstream_retry_limit_exceeded: bool | None = ...) -> None: ...
class HTTPResponseProperties(Message):
    response_code: google.protobuf.wrappers_pb2.UInt32Value
    def __init__(self, *, response_code: google.protobuf.wrappers_pb2.UInt32Value | None = ...) -> None: ...
