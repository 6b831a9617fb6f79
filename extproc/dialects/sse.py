"""Server-sent events, split as they arrive. Source: the WHATWG HTML standard, section 9.2.

Lines end with LF, CRLF or CR; a blank line ends an event. What rewrites a stream wants each event
with the very bytes it came as, so that what it leaves alone stays identical.
"""

import re
from dataclasses import dataclass

LINE_END = re.compile(rb"\r\n|\r|\n")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. The concatenated `raw` of all events is the stream, byte for byte."""

    raw: bytes
    """With its line ends and the blank line behind it."""
    data: bytes
    """The `data` fields, joined by LF; empty for a comment or a ping."""


class Splitter:
    """Feed it chunks of any size; it yields each event when its last byte is there.

    Holds back at most one event and one CR, which may be half of a CRLF.
    """

    def __init__(self) -> None:
        self._held = b""
        self._seen = 0  # where the last line of `_held` begins: before it, no event ends

    @property
    def empty(self) -> bool:
        """Whether nothing is held back: the next byte begins an event."""
        return not self._held

    def feed(self, chunk: bytes) -> list[Event]:
        self._held += chunk
        events: list[Event] = []
        start, line = 0, self._seen
        for end in LINE_END.finditer(self._held, line):
            if end.group() == b"\r" and end.end() == len(self._held):
                break  # the LF may be in the next chunk
            if end.start() == line:  # a blank line
                events.append(read_event(self._held[start : end.end()]))
                start = end.end()
            line = end.end()
        self._held = self._held[start:]
        self._seen = line - start
        return events

    def finish(self) -> list[Event]:
        """Return what the end of the stream left unfinished: the standard drops it, we pass it on."""
        held, self._held, self._seen = self._held, b"", 0
        return [read_event(held)] if held else []


def read_event(raw: bytes) -> Event:
    """Collect the data of one event."""
    data: list[bytes] = []
    for line in LINE_END.split(raw.removeprefix(BOM)):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            data.append(b"")
    return Event(raw, b"\n".join(data))
