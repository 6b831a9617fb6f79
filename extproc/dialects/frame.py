"""What events of a stream have in common: every byte around the text they go on with.

Most events of a stream are like the one before, but for their piece of text and running counts of
tokens. Those need not be parsed: what stands between the same bytes is the next piece.
"""

import re

import msgspec

from extproc.dialects.deltas import Piece
from extproc.dialects.ending import Document
from extproc.dialects.literals import quote

INSIDE = re.compile(rb'(?:[^"\\\r\n]++|\\.)*+')
COUNTS = re.compile(rb'(?:_tokens|sequence_number)":\s*+\d++')
"""Members that may differ: they say nothing of where the text belongs."""

read_text = msgspec.json.Decoder(str).decode


class Frame(msgspec.Struct, frozen=True):
    """The bytes of one event, and what was read in it."""

    head: bytes
    """Ends with the quote that begins the text."""
    tail: bytes
    """Begins with the quote that ends it."""
    bare_tail: bytes
    """Without counts."""
    piece: Piece
    document: Document

    def read(self, raw: bytes) -> tuple[str, bytes] | None:
        """Return the text of an event that is like it, and what stands behind; None for any other.
        Costs a sixth of parsing; where counts run, half of it."""
        if not raw.startswith(self.head):
            return None
        at = len(self.head)
        found = INSIDE.match(raw, at)
        end = found.end() if found else at
        tail = raw[end:]
        if tail != self.tail and COUNTS.sub(b"", tail) != self.bare_tail:
            return None
        try:
            return read_text(raw[at - 1 : end + 1]), tail
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def write(self, text: str, tail: bytes) -> bytes:
        return b"".join((self.head, quote(text).encode(), tail))


def make_frame(raw: bytes, piece: Piece, document: Document) -> Frame | None:
    """Find where this text stands in its event; None where that is not told at a glance."""
    name = f'"{piece.place[-1]}":'.encode()
    if raw.count(name) != 1:
        return None
    at = raw.find(name) + len(name)
    at += raw.startswith(b" ", at)
    head = raw[: at + 1]
    found = INSIDE.match(raw, at + 1)
    tail = raw[found.end() if found else at + 1 :]
    frame = Frame(head, tail, COUNTS.sub(b"", tail), piece, document)
    return frame if head.endswith(b'"') and frame.read(raw) == (piece.text, tail) else None
