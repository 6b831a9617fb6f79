# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

import envoy.data.accesslog.v3.accesslog_pb2
from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class StreamAccessLogsMessage(Message):
    http_logs: StreamAccessLogsMessage.HTTPAccessLogEntries
    def __init__(self, *, http_logs: StreamAccessLogsMessage.HTTPAccessLogEntries | None = ...) -> None: ...
    class HTTPAccessLogEntries(Message):
        log_entry: RepeatedCompositeFieldContainer[envoy.data.accesslog.v3.accesslog_pb2.HTTPAccessLogEntry]
        def __init__(self, *, log_entry: Iterable[envoy.data.accesslog.v3.accesslog_pb2.HTTPAccessLogEntry] | None = ...) -> None: ...
class StreamAccessLogsResponse(Message):
    def __init__(self) -> None: ...
