"""Finds the lines that matter in metrics that are read again and again. Pure.

vLLM tells some 700 lines, of which forty are wanted, and they stand where they stood before: reading those
alone takes a third of the time. Where anything has moved, all of it is read.
"""

from collections.abc import Collection
from typing import Final

WHOLE_EVERY: Final = 25
"""All is looked through that often anyway, each five seconds: a new line may have taken the place of one that
nobody wants.
"""


class Sieve:
    """Of one endpoint."""

    def __init__(self, names: Collection[bytes]) -> None:
        """`names` of samples, as they begin their lines."""
        self._names = frozenset(names)
        self._count = self._turn = 0
        self._places: list[tuple[int, bytes]] = []
        """Where wanted lines stand, and how each begins, up to its value."""

    def sift(self, text: bytes) -> bytes:
        """Leave the wanted lines; a text that is cut stays one, because its last line is left in."""
        lines = text.split(b"\n")
        self._turn += 1
        if self._turn % WHOLE_EVERY == 0 or len(lines) != self._count or not self._are_there(lines):
            self._look_through(lines)
        kept = [lines[number] for number, _ in self._places]
        return b"\n".join([*kept, lines[-1]])

    def _are_there(self, lines: list[bytes]) -> bool:
        return all(lines[number].startswith(head) for number, head in self._places)

    def _look_through(self, lines: list[bytes]) -> None:
        self._count = len(lines)
        self._places = [
            (number, head(line))
            for number, line in enumerate(lines[:-1])
            if line[:1] != b"#" and name(line) in self._names
        ]


def name(line: bytes) -> bytes:
    at = line.find(b"{")
    return line[:at] if at > 0 else line.partition(b" ")[0]


def head(line: bytes) -> bytes:
    """All but the value, and what may follow it."""
    at = line.rfind(b"}") + 1
    return line[:at] if at else line.partition(b" ")[0] + b" "
