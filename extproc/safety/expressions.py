"""Many expressions over some bytes at once, by hyperscan: in linear time, whatever they are given."""

from collections.abc import Callable, Sequence

import hyperscan

Note = Callable[[int, int, int, int, object], bool | None]
"""Hears of a match: of which expression (its id), 0, where it ends, and two that say nothing. True ends the
scan."""


class FloodError(ValueError):
    """There are more places that look like something than can be looked at."""


class Expressions:
    """Compiled once. Any thread may use them."""

    def __init__(
        self, expressions: Sequence[bytes], flags: Sequence[int], ids: Sequence[int] | None = None
    ) -> None:
        """`ids`: their places, unless given. Raises: hyperscan.error."""
        ids = range(len(expressions)) if ids is None else ids
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(expressions=list(expressions), ids=list(ids), flags=list(flags))
        # Making one takes 50 us, and each serves one thread at a time: as many as ever ran at once.
        self._scratches: list[hyperscan.Scratch] = []

    def scan(self, raw: bytes, note: Note) -> bool:
        """Tell `note` of all matches, by where they end. Returns False when that was ended early: by
        `note`, or by hyperscan itself where nothing is left that could be found."""
        scratch = self._scratches.pop() if self._scratches else hyperscan.Scratch(self._database)
        try:
            self._database.scan(raw, match_event_handler=note, scratch=scratch)
        except hyperscan.ScanTerminated:
            return False
        finally:
            self._scratches.append(scratch)
        return True
