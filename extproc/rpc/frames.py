"""HTTP/2 frames (RFC 9113 sections 4 and 6): bytes <-> values. Nothing here remembers anything."""

from struct import Struct
from typing import Final

import msgspec

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (3.4)."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

FRAME_BYTES = 16_384
"""Largest payload we take: the least that must be allowed, and what others send anyway."""
WINDOW_MOST = 2**31 - 1

HEAD = Struct(">IBI")
"""Length and kind together, because there is no format for 24 bits; flags; stream."""
LONG = Struct(">I")
PAIR = Struct(">HI")


class PeerError(Exception):
    """The peer breaks HTTP/2. It is told the code, and the connection ends."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Frame(msgspec.Struct, frozen=True):
    kind: int
    flags: int
    stream: int
    payload: bytes


def split(received: bytes) -> tuple[list[Frame], bytes]:
    """Cut what was received into frames, and the beginning of one that is not all here.

    Raises:
        PeerError: A frame is larger than we take.
    """
    frames: list[Frame] = []
    at, end = 0, len(received)
    while end - at >= HEAD.size:
        size_and_kind, flags, stream = HEAD.unpack_from(received, at)
        size = size_and_kind >> 8
        if size > FRAME_BYTES:
            raise PeerError(FRAME_SIZE_ERROR, f"a frame of {size} bytes")
        begin, after = at + HEAD.size, at + HEAD.size + size
        if after > end:
            break
        payload = received[begin:after]
        frames.append(Frame(size_and_kind & 0xFF, flags, stream & WINDOW_MOST, payload))
        at = after
    return frames, received[at:]


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """Write what stands before a payload of that size."""
    return HEAD.pack(size << 8 | kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return head(kind, flags, stream, len(payload)) + payload


def window_update(stream: int, more: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, LONG.pack(more))


def reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, LONG.pack(code))


def goaway(last: int, code: int, why: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, LONG.pack(last) + LONG.pack(code) + why.encode()[:256])


def settings(those: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(PAIR.pack(*each) for each in those.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Raises: PeerError."""
    if len(payload) % PAIR.size:
        raise PeerError(FRAME_SIZE_ERROR, "settings are pairs of 6 bytes")
    return [PAIR.unpack_from(payload, at) for at in range(0, len(payload), PAIR.size)]


def read_increment(payload: bytes) -> int:
    """Read a WINDOW_UPDATE. Raises: PeerError."""
    increment: int = LONG.unpack(payload)[0] & WINDOW_MOST
    if not increment:
        raise PeerError(PROTOCOL_ERROR, "a window that grows by nothing")
    return increment


SIZES = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
"""Payloads of one size."""
OF_CONNECTION = frozenset({SETTINGS, PING, GOAWAY})
OF_STREAM = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION})
"""WINDOW_UPDATE is of both."""


def check(each: Frame) -> None:
    """See that a frame's size and stream are possible for its kind. Raises: PeerError."""
    if len(each.payload) != SIZES.get(each.kind, len(each.payload)):
        raise PeerError(FRAME_SIZE_ERROR, f"a frame of kind {each.kind} and odd size")
    if each.kind in (OF_STREAM if not each.stream else OF_CONNECTION):
        raise PeerError(PROTOCOL_ERROR, f"a frame of kind {each.kind} for stream {each.stream}")
    if each.kind == PUSH_PROMISE:
        raise PeerError(PROTOCOL_ERROR, "clients do not push")


def unpadded(each: Frame) -> bytes:
    """Take padding, and the priority that nobody uses any more, off DATA or HEADERS.

    Raises:
        PeerError: There is more padding than frame.
    """
    payload, padding = each.payload, 0
    if each.flags & PADDED:
        padding = payload[0] if payload else 1
        payload = payload[1:]
    if each.kind == HEADERS and each.flags & HAS_PRIORITY:
        if len(payload) < 5:
            raise PeerError(FRAME_SIZE_ERROR, "a priority has 5 bytes")
        payload = payload[5:]
    if padding > len(payload):
        raise PeerError(PROTOCOL_ERROR, "more padding than frame")
    return payload[: len(payload) - padding] if padding else payload
