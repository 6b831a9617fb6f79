"""gRPC messages in DATA frames: a flag, four bytes of length, the message; cut up in any way."""

from collections import deque
from struct import Struct

from extproc.rpc.status import CallError, Status

PREFIX = Struct(">BI")


class Inbox:
    """The messages of one call, in order. One larger than `most_bytes` is refused by its prefix."""

    __slots__ = ("_most_bytes", "_partial", "_wanted", "messages")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._partial = bytearray()
        self._wanted = PREFIX.size
        self.messages: deque[bytes] = deque()
        """Those that are complete. Whoever reads one takes it."""

    def feed(self, data: bytes) -> None:
        """Take the payload of a frame. Raises: CallError."""
        if not self._partial:
            self._cut(data)
            return
        self._partial += data
        if len(self._partial) >= self._wanted:  # else each piece of 16 MiB would be cut anew
            pieces, self._partial = bytes(self._partial), bytearray()
            self._cut(pieces)

    def _cut(self, data: bytes) -> None:
        at, end = 0, len(data)
        self._wanted = PREFIX.size
        while end - at >= PREFIX.size:
            flag, size = PREFIX.unpack_from(data, at)
            if flag:
                raise CallError(Status.UNIMPLEMENTED, "compressed messages are not supported")
            if size > self._most_bytes:
                raise CallError(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes")
            begin, after = at + PREFIX.size, at + PREFIX.size + size
            if after > end:
                self._wanted = after - at
                break
            self.messages.append(data[begin:after])
            at = after
        if at < end:
            self._partial += data[at:]
