"""The outbox: a directory with one file for each alert that waits.

Any process may put an alert in: a write and a rename, never the network. The settle process
delivers and then removes. A file is named by its alert's id, so two workers that notice the same
thing leave one file, and a rename makes it whole or absent for any reader: no locks, no offsets.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import msgspec

from alerts.alert import Alert
from telemetry.logs import Event, EventLog

SUFFIX = ".alert.json"

MAX_PER_MINUTE = 120
"""Alerts that one process may put in within a minute. More than two a second is something that
nobody can read; the rest is logged and dropped, so that no flood fills the disk."""

_log = EventLog(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Alert).decode


class Outbox:
    """One process's way in. Not for several threads at once."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the directory. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._clock = clock
        self._recent: deque[float] = deque()

    def put(self, alert: Alert) -> bool:
        """Leave an alert for delivery: some 0.5 ms of CPU. False when it had to be dropped.

        It never raises: what was being done matters more than telling of it.
        """
        if not self._has_room():
            _log.warning(Event.ALERT_DROPPED, id=alert.id, kind=alert.kind, reason="too many")
            return False
        path = self._directory / _name(alert.id)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_bytes(_encode(alert))
            draft.replace(path)
        except OSError as fault:
            _log.error(Event.ALERT_DROPPED, id=alert.id, kind=alert.kind, reason=str(fault))
            return False
        return True

    def _has_room(self) -> bool:
        now_s = self._clock()
        while self._recent and self._recent[0] <= now_s - 60:
            self._recent.popleft()
        if len(self._recent) >= MAX_PER_MINUTE:
            return False
        self._recent.append(now_s)
        return True


def read_all(directory: Path) -> list[Alert]:
    """Read what waits, oldest first. A file that is no alert is removed and logged."""
    found: list[Alert] = []
    for path in directory.glob(f"*{SUFFIX}"):
        try:
            found.append(_decode(path.read_bytes()))
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as fault:
            _log.error(Event.ALERT_DROPPED, id=path.name, reason=str(fault))
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda alert: (alert.at_ms, alert.id))


def remove(directory: Path, alert_id: str) -> None:
    """Take out what every webhook has had. Raises OSError."""
    (directory / _name(alert_id)).unlink(missing_ok=True)


def _name(alert_id: str) -> str:
    return blake2b(alert_id.encode(), digest_size=16).hexdigest() + SUFFIX
