# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

import google.protobuf.struct_pb2
from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class HeaderMap(Message):
    headers: RepeatedCompositeFieldContainer[HeaderValue]
    def __init__(self, *, headers: Iterable[HeaderValue] | None = ...) -> None: ...
class HeaderValue(Message):
    key: str
    value: str
    raw_value: bytes
    def __init__(self, *, key: str | None = ..., value: str | None = ..., raw_value: bytes | None = ...) -> None: ...
class HeaderValueOption(Message):
    APPEND_IF_EXISTS_OR_ADD: int
    ADD_IF_ABSENT: int
    OVERWRITE_IF_EXISTS_OR_ADD: int
    OVERWRITE_IF_EXISTS: int
    header: HeaderValue
    def __init__(self, *, header: HeaderValue | None = ...) -> None: ...
class Metadata(Message):
    filter_metadata: MessageMap[str, google.protobuf.struct_pb2.Struct]
    def __init__(self, *, filter_metadata: Mapping[str, google.protobuf.struct_pb2.Struct] | None = ...) -> None: ...
