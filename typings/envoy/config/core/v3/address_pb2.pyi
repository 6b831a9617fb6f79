# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class Address(Message):
    socket_address: SocketAddress
    def __init__(self, *, socket_address: SocketAddress | None = ...) -> None: ...
class SocketAddress(Message):
    TCP: int
    UDP: int
    address: str
    port_value: int
    def __init__(self, *, address: str | None = ..., port_value: int | None = ...) -> None: ...
