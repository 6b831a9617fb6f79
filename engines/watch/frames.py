"""Messages on a stream: four bytes of length, big end first, then msgpack."""

from collections.abc import Iterator
from typing import Final

import msgspec

from engines.watch import messages
from engines.watch.messages import Message

MAX_BYTES: Final = 4 * 1024 * 1024
"""Of one message. The largest, `Members`, has some 60 bytes for each endpoint; what could be larger is
sent in parts."""
HEAD_BYTES: Final = 4

ENCODER = msgspec.msgpack.Encoder()
DECODER: msgspec.msgpack.Decoder[messages.Any] = msgspec.msgpack.Decoder(messages.Any)


class FrameError(ValueError):
    """What came is no message: whoever sent it is not one of us, or of another version."""


def frame(message: Message) -> bytes:
    """Write one message: 1 us."""
    body = ENCODER.encode(message)
    return len(body).to_bytes(HEAD_BYTES, "big") + body


class Frames:
    """Finds the messages in a stream, however it is cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[messages.Any, bytes]]:
        """Take what came; return what is whole: each message, and its frame.

        Raises:
            FrameError: While iterating. Nothing that follows can be read.
        """
        self._rest += piece
        start, rest = 0, bytes(self._rest)
        while len(rest) - start >= HEAD_BYTES:
            end = start + HEAD_BYTES + int.from_bytes(rest[start : start + HEAD_BYTES], "big")
            if end - start > MAX_BYTES:
                raise FrameError("a message that is too long")
            if end > len(rest):
                break
            yield self._read(rest[start + HEAD_BYTES : end]), rest[start:end]
            start = end
        self._rest = bytearray(rest[start:])

    def _read(self, body: bytes) -> messages.Any:
        try:
            return DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise FrameError(type(fault).__name__) from None
