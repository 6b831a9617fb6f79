# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class ProcessingMode(Message):
    DEFAULT: int
    SEND: int
    SKIP: int
    NONE: int
    STREAMED: int
    BUFFERED: int
    BUFFERED_PARTIAL: int
    FULL_DUPLEX_STREAMED: int
    GRPC: int
    request_header_mode: int
    response_header_mode: int
    request_body_mode: int
    response_body_mode: int
    request_trailer_mode: int
    response_trailer_mode: int
    def __init__(self, *, request_header_mode: int | None = ..., response_header_mode: int | None = ..., request_body_mode: int | None = ..., response_body_mode: int | None = ..., request_trailer_mode: int | None = ..., response_trailer_mode: int | None = ...) -> None: ...
