"""A text in pieces, each read by the models of its scripts, and what was found in it remembered.

Conversations come again with every turn, so most pieces have been read before. What is remembered
is a keyed digest of a piece and the places of its names, not a word of it.
"""

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sidecars.names.span import Model, Span

PIECE = 400
"""Characters after which a text is cut at the next end of a sentence: models look no further
around a name, and a changed sentence costs no more than its piece."""
LONGEST = 1_000
"""Where none ends, it is cut here, which may split a name."""
END = re.compile(r"\n|[.!?;](?=\s)|[\u3002\uff01\uff1f\uff1b]")
MOST = 50_000
"""Pieces remembered: 13 MB."""


class Reader:
    """Finds names with several models."""

    def __init__(self, models: Sequence[Model], most: int = MOST) -> None:
        self._models = models
        self._most = most
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()

    def find(self, piece: str) -> Sequence[Span]:
        """Find the names in a piece, the earlier ones first."""
        digest = hashlib.blake2b(piece.encode(), digest_size=16, key=self._key).digest()
        found = self._known.get(digest)
        if found is None:
            found = tuple(sorted(self._read(piece), key=lambda span: (span.start, span.end)))
            self._known[digest] = found
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        return found

    def _read(self, piece: str) -> Iterator[Span]:
        for model in self._models:
            if model.reads(piece):
                yield from (span for span in model.find(piece) if span.start < span.end)


def split(text: str) -> Iterator[tuple[int, str]]:
    """Cut a text; say where each piece begins."""
    for start, end in pairwise(bounds(text)):
        yield start, text[start:end]


def bounds(text: str) -> Iterator[int]:
    at = 0
    while at < len(text):
        yield at
        last = min(at + LONGEST, len(text))
        found = END.search(text, min(at + PIECE, last), last)
        at = found.end() if found else last
    yield len(text)
