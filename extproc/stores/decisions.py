"""Decision records on disk: JSON lines in two files for each worker, the newer and the older.

Requests never wait for it. A record that finds too many others waiting is dropped, and counted.
"""

import asyncio
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from extproc.routing.record import DecisionRecord
from telemetry.logs import Event, EventLog

DIRECTORY = "decisions"
"""Below the state directory."""
FILE_BYTES = 16 * 1024 * 1024
"""Of one file. Two of them hold some 8000 records of 64 candidates, 100 000 of two."""
MOST_WAITING = 1000
FLUSH_S = 0.2
AT_ONCE = 100
"""Records written together: about 1 MB at most."""

log = EventLog(__name__)


class DecisionFiles:
    """Implements `ports.Decisions`. `run` writes, in a thread of its own."""

    def __init__(
        self,
        directory: Path,
        listen: str,
        tell: Callable[[str, int], None] = lambda _result, _count: None,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        """The files are named after where this worker listens, so that one that is started again
        goes on where its predecessor was. `tell` hears how many records were `written` or `dropped`."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", listen.rpartition("/")[2])
        self._new = directory / f"{name}.jsonl"
        self._old = directory / f"{name}.old.jsonl"
        self._tell = tell
        self._file_bytes = file_bytes
        self._waiting = deque[DecisionRecord]()
        self._is_failing = False
        self._turn = threading.Lock()  # a thread may still be at it when we are asked to stop

    def put(self, record: DecisionRecord) -> None:
        """Have it written soon, or drop it."""
        if len(self._waiting) >= MOST_WAITING:
            self._tell("dropped", 1)
        else:
            self._waiting.append(record)

    async def run(self, interval_s: float = FLUSH_S) -> None:
        """Write for ever; cancel to stop, after which what still waits is written."""
        try:
            while True:
                await asyncio.sleep(interval_s)
                while self._waiting:
                    await asyncio.to_thread(self.flush)
        finally:
            while self._waiting:
                self.flush()

    def flush(self) -> None:
        """Write some of what waits: in a thread, for a disk may take its time."""
        taken = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        lines = b"".join(msgspec.json.encode(record) + b"\n" for record in taken)
        try:
            with self._turn:
                self._write(lines)
        except OSError as fault:
            self._tell("dropped", len(taken))
            if not self._is_failing:
                log.error(Event.DECISIONS_NOT_KEPT, reason=fault.strerror)
            self._is_failing = True
        else:
            self._tell("written", len(taken))
            self._is_failing = False

    def _write(self, lines: bytes) -> None:
        self._new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._new.exists() and self._new.stat().st_size + len(lines) > self._file_bytes:
            self._new.replace(self._old)
        self._new.touch(mode=0o600)
        with self._new.open("ab", buffering=0) as file:
            file.write(lines)


def find_decisions(directory: Path, wanted: str) -> Sequence[DecisionRecord]:
    """Find the records of a decision id or request id, oldest first: a client may repeat its request
    ids. Raises: OSError."""
    found = [record for path in sorted(directory.glob("*.jsonl")) for record in read(path, wanted)]
    return sorted(found, key=lambda record: record.at_s)


def read(path: Path, wanted: str) -> Iterator[DecisionRecord]:
    """Look through one file. A line that is cut or of another version is passed over."""
    sign = msgspec.json.encode(wanted)
    with path.open("rb") as file:
        for line in file:
            if sign not in line:
                continue
            try:
                record = msgspec.json.decode(line, type=DecisionRecord)
            except msgspec.MsgspecError:
                continue
            if wanted in {record.id, record.request_id}:
                yield record


def has_decisions(directory: Path) -> bool:
    """Whether any record was ever written there."""
    return any(directory.glob("*.jsonl"))
