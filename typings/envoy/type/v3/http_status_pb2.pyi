# Written by typings/generate.py.
from collections.abc import Iterable, Mapping

from google.protobuf.internal.containers import (
    MessageMap,
    RepeatedCompositeFieldContainer,
    RepeatedScalarFieldContainer,
)
from google.protobuf.message import Message

class HttpStatus(Message):
    code: int
    def __init__(self, *, code: int | None = ...) -> None: ...
