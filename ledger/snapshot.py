"""A backup as a directory, and what its manifest says.

DIR/2026-11-20T09-30-00.123Z/
    ledger.sqlite           the ledger, in one consistent state
    log/*.gz                what the access log had grown by since the backup before
    ledger-signing.pub      public keys; the private one is never in a backup
    ledger-erasures.jsonl   who was erased, by pseudonym
    manifest.json           written last: a directory without it is no backup
"""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import msgspec

MANIFEST = "manifest.json"
LEDGER = "ledger.sqlite"
VERSION = 1


class BackupError(Exception):
    """A backup cannot be made, found or believed; the message says why."""


class Head(msgspec.Struct, frozen=True):
    """Where a chain stood."""

    length: int
    hash: str


class LogPart(msgspec.Struct, frozen=True):
    """A piece of a log file, packed by gzip."""

    file: str
    """Below the backup."""
    file_id: str
    begin: int
    """Bytes into the log file, as `end` is."""
    end: int
    sha256: str


class Snapshot(msgspec.Struct, frozen=True):
    """The manifest."""

    version: int
    at_ms: int
    ledger_version: int
    bytes: int
    sha256: str
    """Of the ledger."""
    entries: int
    seq: int
    """Of the last entry."""
    chains: dict[str, Head]
    offsets: dict[str, int]
    """How far log and journal files had been read, by file id: a replay begins there."""
    unfinished: tuple[str, ...]
    """Ids of log files that more was to come of: what a replay cannot do without."""
    log: tuple[LogPart, ...] = ()
    missed: tuple[str, ...] = ()
    """Ids of log files that were gone before they could be copied."""


class Backup(msgspec.Struct, frozen=True):
    """One that is complete."""

    path: Path
    snapshot: Snapshot


def name_of(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at:%Y-%m-%dT%H-%M-%S}.{at_ms % 1000:03}Z"


def read(path: Path) -> Backup:
    """Read the backup in a directory. Raises BackupError."""
    try:
        snapshot = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Snapshot)
    except FileNotFoundError:
        raise BackupError(f"{path} is no backup: it has no {MANIFEST}") from None
    except (OSError, msgspec.MsgspecError) as fault:
        raise BackupError(f"{path} is no backup: {fault}") from fault
    if snapshot.version != VERSION:
        raise BackupError(f"{path} has version {snapshot.version}; this program reads {VERSION}")
    return Backup(path, snapshot)


def read_all(directory: Path) -> list[Backup]:
    """Read all backups in a directory, oldest first."""
    found = [read(manifest.parent) for manifest in directory.glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda backup: backup.snapshot.at_ms)


def choose(directory: Path, at_ms: int | None) -> tuple[Backup, Sequence[Backup]]:
    """Find the last backup before a time, or of all, and those that came after it.

    `directory` may be the backup itself. Raises BackupError.
    """
    if (directory / MANIFEST).exists():
        chosen = read(directory)
        if at_ms is not None and chosen.snapshot.at_ms > at_ms:
            raise BackupError(f"{directory} was made later than that")
        return chosen, [
            b for b in read_all(directory.parent) if b.snapshot.at_ms > chosen.snapshot.at_ms
        ]
    backups = read_all(directory)
    before = [b for b in backups if at_ms is None or b.snapshot.at_ms <= at_ms]
    if not before:
        when = "" if at_ms is None or not backups else " from before that time"
        raise BackupError(f"there is no backup{when} in {directory}")
    return before[-1], backups[len(before) :]


def check(path: Path, sha256: str) -> None:
    """Raises BackupError when a file is not what the manifest says."""
    try:
        found = digest(path)
    except OSError as fault:
        raise BackupError(f"{path} cannot be read: {fault}") from fault
    if found != sha256:
        raise BackupError(f"{path} is not what was backed up: its SHA-256 is {found}")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a directory, are on disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prune(directory: Path, keep: int) -> list[Path]:
    """Delete all backups but the last `keep`, and what broken ones left; returns the former."""
    gone = [backup.path for backup in read_all(directory)[: -max(keep, 1)]]
    for path in gone:
        (path / MANIFEST).unlink()  # from now on it is none, however far this gets
    for path in (*gone, *(directory.glob(".partial-*"))):
        shutil.rmtree(path)
    return gone
