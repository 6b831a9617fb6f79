"""What was told already: by webhook and alert id, across restarts.

A file of lines, appended to after each delivery. A kill between the delivery and the line means a
message twice, never one lost.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from telemetry.logs import Event, EventLog

KEEP_S = 40 * 86_400.0
"""An id may stand for a month; then it may come again."""
COMPACT_LINES = 20_000
"""The file is written anew when it has this many lines more than it needs: some 2 MB."""

_log = EventLog(__name__)


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    at_s: float
    webhook: str
    alert_id: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Entry).decode


class Sent:
    """One reader and writer: the settle process."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Read what an earlier process left. Raises OSError."""
        self._path = path
        self._clock = clock
        self._known: dict[tuple[str, str], float] = {}
        self._lines = self._kept = 0
        self._read()
        self._kept = len(self._known)

    def __contains__(self, told: tuple[str, str]) -> bool:
        """Whether this (webhook, alert id) was told."""
        return told in self._known

    def add(self, webhook: str, alert_ids: Iterable[str]) -> None:
        """Remember. A disk that is full costs a repetition after a restart, so it only logs."""
        now_s = self._clock()
        entries = [_Entry(now_s, webhook, alert_id) for alert_id in alert_ids]
        self._known.update({(e.webhook, e.alert_id): e.at_s for e in entries})
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(_encode(entry) + b"\n" for entry in entries))
            self._lines += len(entries)
            grown = len(self._known) > 2 * self._kept + COMPACT_LINES  # old ones may go by now
            if grown or self._lines > len(self._known) + COMPACT_LINES:
                self._compact()
        except OSError as fault:
            _log.error(Event.ALERT_NOT_REMEMBERED, reason=str(fault))

    def _read(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        lines = content.splitlines()
        self._lines = len(lines)
        for line in lines:
            try:
                entry = _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # torn by a kill or a full disk
            self._known[entry.webhook, entry.alert_id] = entry.at_s
        torn = not content.endswith(b"\n")
        if self._prune() or torn:
            self._compact()

    def _prune(self) -> int:
        oldest_s = self._clock() - KEEP_S
        before = len(self._known)
        self._known = {told: at_s for told, at_s in self._known.items() if at_s >= oldest_s}
        return before - len(self._known)

    def _compact(self) -> None:
        self._prune()
        draft = self._path.with_name(f".{self._path.name}")
        entries = (_Entry(at_s, *told) for told, at_s in self._known.items())
        draft.write_bytes(b"".join(_encode(entry) + b"\n" for entry in entries))
        draft.replace(self._path)
        self._lines = self._kept = len(self._known)
