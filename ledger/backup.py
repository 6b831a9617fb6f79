"""Backups of a ledger in SQLite, made while the settle process writes.

A backup is the ledger in one consistent state. In it stands how far each log had been read, so that
a restore reads on from there; what the log grew by between two backups is kept with the later one,
so that any moment between them can be restored as well. Everything booked later than the last backup
comes from the access log itself, for as long as that survives.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import ArgumentError

from ledger import erasure, signing
from ledger.database import open_database
from ledger.finished import read_offsets
from ledger.logparts import LogFile, opened, pack
from ledger.snapshot import (
    LEDGER,
    MANIFEST,
    VERSION,
    Backup,
    BackupError,
    Head,
    LogPart,
    Snapshot,
    digest,
    name_of,
    prune,
    read_all,
    sync,
)
from ledger.tables import CHAIN, ENTRY, SCHEMA_VERSION

POINTER = (
    "a ledger in PostgreSQL is backed up by PostgreSQL: pg_basebackup, or pg_dump of its schema. "
    "Logs are replayed from where that state had read them, when the settle process starts: "
    "see docs/ledger.md"
)


def sqlite_path(where: str | Path) -> Path:
    """Find the file of a ledger. Raises BackupError when it is kept in no file of ours."""
    if "://" not in str(where):
        return Path(where)
    try:
        url = make_url(str(where))
    except ArgumentError as fault:
        raise BackupError(f"{where} is neither a path nor a database URL") from fault
    if url.get_backend_name() != "sqlite" or not url.database:
        raise BackupError(POINTER)
    return Path(url.database)


def back_up(
    ledger: Path,
    state: Path,
    directory: Path,
    *,
    keep: int | None = None,
    clock: Callable[[], float] = time.time,
) -> Backup:
    """Back up a ledger and its logs below `directory`, and delete backups beyond the last `keep`.

    Raises: BackupError, LedgerError, OSError.
    """
    access_log = state / "log" / "access.jsonl"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(directory):
        for broken_off in directory.glob(".partial-*"):
            shutil.rmtree(broken_off)
        earlier = read_all(directory)
        draft = directory / f".partial-{os.getpid()}"
        draft.mkdir(mode=0o700)
        try:
            # Logs first: what is rotated away while the ledger is copied is still open then.
            with opened(access_log) as before:
                copy(ledger, draft / LEDGER)
                at_ms = round(clock() * 1000)
                with opened(access_log) as after:
                    previous = earlier[-1].snapshot if earlier else None
                    snapshot = _describe(draft, at_ms, {**after, **before}, previous)
            _add_public(state, draft)
            _finish(draft, snapshot)
            path = draft.rename(directory / name_of(at_ms))
        except BaseException:
            shutil.rmtree(draft)
            raise
        sync(directory)
        if keep is not None:
            prune(directory, keep)
    return Backup(path, snapshot)


def copy(ledger: Path, to: Path) -> None:
    """Copy a ledger that may be written meanwhile, in one consistent state: 3 s for a gigabyte.

    Raises: BackupError, OSError.
    """
    if not ledger.exists():
        raise BackupError(f"no ledger at {ledger}: nothing has been settled there yet")
    address = f"{ledger.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True)) as source,
            closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)  # in one step, so that no commit makes it begin again
            target.execute("PRAGMA journal_mode = DELETE")  # one file, and nothing beside it
    except sqlite3.Error as fault:
        raise BackupError(f"{ledger} cannot be copied: {fault}") from fault


def _describe(
    draft: Path, at_ms: int, logs: Mapping[str, LogFile], previous: Snapshot | None
) -> Snapshot:
    with (
        closing(open_database(draft / LEDGER)) as database,
        database.transaction() as connection,
    ):
        offsets = read_offsets(connection)
        chains = select(CHAIN.c.tenant, CHAIN.c.length, CHAIN.c.head)
        heads = {tenant: Head(n, head.hex()) for tenant, n, head in connection.execute(chains)}
        entries, seq = connection.execute(select(func.count(), func.max(ENTRY.c.seq))).one()
    size = (draft / LEDGER).stat().st_size
    return Snapshot(
        version=VERSION,
        at_ms=at_ms,
        ledger_version=SCHEMA_VERSION,
        bytes=size,
        sha256=digest(draft / LEDGER),
        entries=entries,
        seq=seq or 0,
        chains=heads,
        offsets=offsets,
        unfinished=tuple(_unfinished(logs, offsets)),
        log=() if previous is None else tuple(_pack(draft, logs, previous.offsets, offsets)),
        missed=() if previous is None else tuple(set(previous.unfinished) - logs.keys()),
    )


def _unfinished(logs: Mapping[str, LogFile], offsets: Mapping[str, int]) -> Generator[str]:
    """Tell which logs will be needed: the one in use, and those that were not read to their end."""
    for file_id, log in logs.items():
        if log.path.suffix == ".jsonl" or offsets.get(file_id, 0) < log.size:
            yield file_id


def _pack(
    draft: Path, logs: Mapping[str, LogFile], begins: Mapping[str, int], ends: Mapping[str, int]
) -> Generator[LogPart]:
    for file_id, log in logs.items():
        begin, end = begins.get(file_id, 0), ends.get(file_id, 0)
        if begin < end:
            yield pack(log, begin, end, draft)


def _add_public(state: Path, draft: Path) -> None:
    for name in (signing.PUBLIC_NAME, erasure.FILE_NAME):
        if (state / name).exists():
            shutil.copyfile(state / name, draft / name)


def _finish(draft: Path, snapshot: Snapshot) -> None:
    """Write the manifest when all the rest is safe."""
    for path in sorted(draft.rglob("*")):
        sync(path)
    manifest = draft / MANIFEST
    manifest.write_bytes(msgspec.json.format(msgspec.json.encode(snapshot, order="sorted")))
    for path in (manifest, draft):
        sync(path)


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Wait for another backup into the same directory."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
