"""What each worker serves: published by the workers in STATE/run, read by `headgate policy status`."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from extproc.errors import PolicyError
from extproc.policy.flaws import Flaw, flaws_of
from extproc.policy.load import read_all, version_of
from extproc.policy.withdrawn import is_withdrawn
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

SUFFIX = ".policy.json"


Ailing = Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]]


class Rejection(msgspec.Struct, frozen=True):
    """A version that was not taken."""

    at_s: float
    """Seconds since the epoch."""
    version: str
    """Empty when the files could not even be read."""
    flaws: tuple[Flaw, ...]


class Status(msgspec.Struct, frozen=True):
    """What one worker says of itself."""

    worker: str
    pid: int
    started: int
    """Tells a process from a later one with the same pid: see `started_at`."""
    directories: tuple[str, ...]
    version: str
    since_s: float
    rejected: Rejection | None = None
    ailing: Ailing = msgspec.field(
        default_factory=dict[str, dict[str, tuple[str, tuple[str, ...]]]]
    )
    """Endpoints that something speaks against, by pool: their condition, and what it is."""

    @property
    def is_alive(self) -> bool:
        return self.started == started_at(self.pid)

    @property
    def is_mended(self) -> bool:
        """Whether another version was taken after the last rejection."""
        return self.rejected is not None and self.since_s > self.rejected.at_s


def started_at(pid: int) -> int:
    """When a process started, in clock ticks since boot: field 22 of proc(5)'s stat. 0 when there is
    no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


class StatusFile:
    """One worker's file. Each change replaces it by a rename, so that no reader sees half of one."""

    def __init__(self, path: Path, status: Status) -> None:
        self._path = path
        self._status = status
        self._write()

    @classmethod
    def begin(cls, run: Path, listen: str, directories: Sequence[Path], version: str) -> Self:
        """Publish what a worker of this process starts with. It is called as its socket is, so that
        a restarted one replaces its predecessor's."""
        pid = os.getpid()
        is_socket = listen.startswith("unix:")
        name = Path(listen.removeprefix("unix:")).stem if is_socket else f"worker-{pid}"
        status = Status(
            worker=name,
            pid=pid,
            started=started_at(pid),
            directories=tuple(str(directory.absolute()) for directory in directories),
            version=version,
            since_s=time.time(),
        )
        return cls(run / f"{name}{SUFFIX}", status)

    def serve(self, version: str) -> None:
        """Say that this version is in force from now on."""
        changed = msgspec.structs.replace(self._status, version=version, since_s=time.time())
        self._status = changed
        self._write()

    def reject(self, error: PolicyError, version: str) -> None:
        """Say that this version was not taken, and why."""
        rejected = Rejection(time.time(), version, tuple(flaws_of(error)))
        self._status = msgspec.structs.replace(self._status, rejected=rejected)
        self._write()

    def ail(self, ailing: Ailing) -> None:
        """Say what speaks against which endpoints; written down when that has changed."""
        if ailing != self._status.ailing:
            self._status = msgspec.structs.replace(self._status, ailing=ailing)
            self._write()

    def _write(self) -> None:
        """A worker that cannot say what it serves serves all the same."""
        draft = self._path.with_name(f".{self._path.name}.{self._status.pid}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(self._status))
            draft.replace(self._path)
        except OSError as exc:
            log.error(Event.STATUS_UNWRITTEN, reason=str(exc))

    def close(self) -> None:
        """Nobody serves any more."""
        self._path.unlink(missing_ok=True)


def read_statuses(run: Path) -> Sequence[Status]:
    """Read what the workers that live say, by name. What dead ones left behind does not count."""
    found: list[Status] = []
    for path in sorted(run.glob(f"*{SUFFIX}")):
        try:
            status = msgspec.json.decode(path.read_bytes(), type=Status)
        except (OSError, msgspec.DecodeError):
            continue  # a worker that just left, or a file that is not ours
        if status.is_alive:
            found.append(status)
    return found


class OnDisk(msgspec.Struct, frozen=True):
    """What the files say now."""

    version: str
    """Empty when they cannot be read; `complaint` says why."""
    complaint: str = ""

    def judge(self, status: Status) -> str:
        """Say in a word or two what became of it in a worker."""
        if self.version and status.version == self.version:
            return "in force"
        rejected = status.rejected
        if rejected is not None and rejected.version == self.version:
            return "rejected"
        if self.version and is_withdrawn(status.version, self.version):
            return "held back"  # but for what it takes away
        return "not looked at yet"


def read_disk(directories: Sequence[str]) -> OnDisk:
    try:
        return OnDisk(version_of(read_all([Path(directory) for directory in directories])))
    except PolicyError as exc:
        return OnDisk("", str(exc))
