"""Collects an answer as it passes, byte for byte unchanged.

While it passes it costs what noting a chunk takes, 0.1 us, beside what any filter pays that sees answers;
it is read when it has come to its end, by the `Keeper`.
"""

from collections.abc import Callable

from extproc.filter import BodyTransform

STREAM_FACTOR = 16
"""A stream says so many times more than its text: 250 bytes of JSON for a token's 4, and joined ones."""


class Fill(BodyTransform):
    """`keep` is told the answer when it is over. One that another filter or the client cuts off has no
    `finish`, and nobody is told."""

    reads = False

    def __init__(self, most_bytes: int, keep: Callable[[bytes], object]) -> None:
        """What is longer than `most_bytes` is not kept, and no more of it held."""
        self._left = most_bytes
        self._keep = keep
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left >= 0:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
        return chunk

    def finish(self) -> bytes:
        if self._left >= 0 and self._chunks:
            self._keep(b"".join(self._chunks))
        self._chunks.clear()
        return b""
