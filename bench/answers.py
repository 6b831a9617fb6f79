"""Reads HTTP/1.1 answers just far enough to know that they are whole."""

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
"""As Envoy writes it: HTTP/1.1 header names in lower case, one space."""
LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body without trailers (RFC 9112 7.1). No event of a stream ends like it."""
EVENT_END = b"\n\n"


class BadAnswerError(Exception):
    """What came is not an answer as Envoy sends them."""


class AnswerReader:
    """One answer after the other on one connection, fed with bytes in any pieces.

    Costs about a microsecond when an answer comes in one piece.
    """

    __slots__ = ("_held", "_left", "_tail", "events", "status")

    def __init__(self) -> None:
        self.status = 0
        """Of the latest answer; 0 until its head is here."""
        self.events = 0
        """Events of all answers that were streams."""
        self._held = b""
        self._left = 0
        """Body bytes still to come; -1 for a chunked body."""
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Take some bytes; True when they end an answer. Raises: BadAnswerError."""
        if self._held:
            data = self._held + data
            self._held = b""
        elif self._left:
            return self._feed_body(data)
        end = data.find(HEAD_END)
        if end < 0:
            self._held = data
            return False
        self._read_head(data[:end])
        return self._feed_body(data[end + len(HEAD_END) :])

    def _read_head(self, head: bytes) -> None:
        status = head[9:12]
        if not head.startswith(b"HTTP/1.1 ") or not status.isdigit():
            raise BadAnswerError(f"this is not an HTTP/1.1 answer: {head[:40]!r}")
        self.status = int(status)
        start = head.find(LENGTH)
        if start < 0:
            self._left, self._tail = -1, b""
            return
        self._left = int(head[start + len(LENGTH) :].split(b"\r", 1)[0])

    def _feed_body(self, data: bytes) -> bool:
        if self._left < 0:
            return self._feed_stream(data)
        self._left -= len(data)
        if self._left < 0:
            raise BadAnswerError("an answer is longer than its content-length")
        return self._left == 0

    def _feed_stream(self, data: bytes) -> bool:
        self.events += (self._tail[-1:] + data).count(EVENT_END)
        self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
        if self._tail != LAST_CHUNK:
            return False
        self._left = 0
        return True
