"""How a call ends (gRPC over HTTP/2, "Responses"): a status, perhaps a word, in the trailers."""

from enum import IntEnum
from urllib.parse import quote

from hpack import Encoder, NeverIndexedHeaderTuple


class Status(IntEnum):
    """The codes of gRPC that are used here."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13


class CallError(Exception):
    """Ends the call with this status instead of OK; the peer reads the message."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def block(*headers: tuple[str, str]) -> bytes:
    """Write a header block that changes nothing for later ones: no table is kept on either side."""
    fields = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
    return Encoder().encode(fields, huffman=False)


OPENING = ((":status", "200"), ("content-type", "application/grpc"))
OPENING_BLOCK = block(*OPENING)
OK_BLOCK = block(("grpc-status", "0"))


def closing(status: Status, message: str = "", *, opened: bool) -> bytes:
    """Write the last header block; before any other it says what the first would have said."""
    if opened and status is Status.OK:
        return OK_BLOCK
    fields = [("grpc-status", str(int(status)))]
    if message:
        fields.append(("grpc-message", quote(message, safe=" !#$&'()*+,/:;=?@[]")))
    return block(*(() if opened else OPENING), *fields)
