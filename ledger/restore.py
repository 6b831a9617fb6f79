"""Restoring a ledger from a backup, and reading the logs on from there.

    claim      no settle process may hold the ledger, and none can start meanwhile
    check      is the backup what its manifest says, and does its chain verify?
    forget     whoever was erased since is erased again
    place      what was there is set aside; the restored ledger takes its place in one rename
    replay     the settle process's own code reads the logs from where the backup had read them
    sign       a root vouches for the result

After `place` the ledger is whole: a restore that is killed later goes on with the next start of the
settle process. What is booked again has other hashes than what was lost, for it is booked at another
time: roots kept outside agree up to the backup, and the lost ones are set aside as evidence.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from ledger import erasure, roots
from ledger.database import Database, new_database, open_database
from ledger.finished import read_offsets
from ledger.moment import Moment
from ledger.replay import first_line, recognise, settle
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.snapshot import LEDGER, Backup, BackupError, check, name_of, sync
from ledger.sql import SqlLedger
from ledger.sqlite import FileClaim
from ledger.tables import CHAIN, SCHEMA_VERSION
from ledger.verify import verify


class Restored(msgspec.Struct, frozen=True):
    """What was done."""

    backup: str
    at_ms: int
    """When the backup was made."""
    entries: int
    """Entries of the backup."""
    replayed: int
    """Entries booked from the logs."""
    complete: bool
    """Whether every log that the backup was reading was there to be read on."""
    erased: int
    """Names that the backup still knew, and that were to be forgotten."""
    aside: str | None
    """Where the ledger is that was there before."""
    own_key: bool
    """Whether it was verified by a key that was here before, not by the backup's own copy."""
    check_s: float
    place_s: float
    replay_s: float
    """With the time it took to sign."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`headgate ledger restore`, understood."""

    backup: Backup
    later: Sequence[Backup]
    """Those made after it."""
    ledger: Path
    state: Path
    at_ms: int | None = None
    """None: up to now."""
    key: Path | None = None
    """Public keys to trust; None: those of the state directory, or else those of the backup."""
    clock: Callable[[], float] = field(default=time.time)

    @property
    def access_log(self) -> Path:
        return self.state / "log" / "access.jsonl"

    @property
    def journals(self) -> Path:
        return self.state / "journal"

    @property
    def trusted(self) -> Path:
        ours = self.state / PUBLIC_NAME
        return self.key or (ours if ours.exists() else self.backup.path / PUBLIC_NAME)


def restore(wish: Wish) -> Restored:
    """Put a backup in place and read the logs on. Raises: BackupError, LedgerError, OSError."""
    wish.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    claim = FileClaim(wish.ledger)
    claim.hold()
    for broken_off in wish.ledger.parent.glob(".restore-*"):
        shutil.rmtree(broken_off)
    draft = wish.ledger.with_name(f".restore-{os.getpid()}")
    draft.mkdir(mode=0o700)
    try:
        return _restore(wish, claim, draft)
    finally:
        shutil.rmtree(draft)
        claim.release()


def _restore(wish: Wish, claim: FileClaim, draft: Path) -> Restored:
    begin_s = time.monotonic()
    own_key = wish.trusted.parent != wish.backup.path
    trusted = wish.trusted.read_bytes()
    with closing(_check(wish, draft)) as database:
        erased = _forget(wish, database)
        present = recognise(database, wish.access_log, wish.journals)
    check_s = time.monotonic()
    if not (wish.state / PUBLIC_NAME).exists():
        (wish.state / PUBLIC_NAME).write_bytes(trusted)
    aside = _place(wish, draft / LEDGER)
    place_s = time.monotonic()
    snapshot = wish.backup.snapshot
    booked = _replay(wish, claim, draft) - sum(head.length for head in snapshot.chains.values())
    return Restored(
        backup=wish.backup.path.name,
        at_ms=snapshot.at_ms,
        entries=snapshot.entries,
        replayed=booked,
        complete=_is_complete(wish, present),
        erased=erased,
        aside=None if aside is None else aside.name,
        own_key=own_key,
        check_s=check_s - begin_s,
        place_s=place_s - check_s,
        replay_s=time.monotonic() - place_s,
    )


def _check(wish: Wish, draft: Path) -> Database:
    """Copy the ledger out of the backup and make sure that it is the one that was written."""
    snapshot = wish.backup.snapshot
    if snapshot.ledger_version != SCHEMA_VERSION:
        raise BackupError(f"{wish.backup.path} is of ledger version {snapshot.ledger_version}")
    shutil.copyfile(wish.backup.path / LEDGER, draft / LEDGER)
    check(draft / LEDGER, snapshot.sha256)
    database = open_database(draft / LEDGER, writes=True)
    verdict = verify(database, load_verifier(wish.trusted))
    if verdict.faults:
        database.close()
        fault = verdict.faults[0]
        raise BackupError(f"{wish.backup.path} is not as it was written: {fault.what}")
    return database


def _forget(wish: Wish, database: Database) -> int:
    file = wish.state / erasure.FILE_NAME
    try:
        erasures = erasure.read_file(file)
    except ValueError as fault:  # rather no ledger than one that remembers somebody
        raise BackupError(f"{file} does not say who was erased: {fault}") from fault
    erased = erasure.erase_again(database, erasures)
    if erased:
        erasure.wipe(database)
    return erased


def _place(wish: Wish, restored: Path) -> Path | None:
    """Set aside what is there, and put the restored ledger in its place."""
    stamp = name_of(round(wish.clock() * 1000))
    aside = wish.ledger.with_name(f"{wish.ledger.name}.{stamp}")
    had_one = wish.ledger.exists()
    # The write-ahead log first: left behind, it would be taken for that of the restored ledger.
    for suffix in ("-wal", "-shm", ""):
        part = wish.ledger.with_name(wish.ledger.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    lost_roots = wish.state / roots.FILE_NAME
    if lost_roots.exists():
        lost_roots.rename(lost_roots.with_name(f"{lost_roots.name}.{stamp}"))
    restored.rename(wish.ledger)
    sync(wish.ledger.parent)
    return aside if had_one else None


def _replay(wish: Wish, claim: FileClaim, draft: Path) -> int:
    """Read the logs and sign; returns how many entries were ever booked."""
    with (
        closing(SqlLedger(replace(new_database(wish.ledger), claim=claim))) as ledger,
        closing(open_database(wish.ledger, writes=True)) as database,
    ):
        if wish.at_ms is None:
            settle(wish.access_log, wish.journals, ledger, wish.clock)
        else:
            _replay_until(wish, Moment(draft / "moment", wish.at_ms), ledger, database)
        file = wish.state / roots.FILE_NAME
        roots.Rooting(database, load_signer(wish.state), file, clock=wish.clock).run()
        with database.transaction() as connection:
            return int(connection.execute(select(func.sum(CHAIN.c.length))).scalar() or 0)


def _replay_until(wish: Wish, moment: Moment, ledger: SqlLedger, database: Database) -> None:
    with database.transaction() as connection:
        offsets = read_offsets(connection)
    moment.add_parts(wish.later)
    moment.add_logs(wish.access_log, offsets)
    moment.add_journals(wish.journals)
    moment.tell(database)
    settle(moment.access_log, moment.journals, ledger, moment.clock)
    moment.forget(database, offsets)


def _is_complete(wish: Wish, present: set[str]) -> bool:
    """Tell whether every log that more was to come of could be read on."""
    if wish.at_ms is not None:
        present |= {first_line(id_) for each in wish.later for id_ in each.snapshot.offsets}
        if any(each.snapshot.missed for each in wish.later):
            return False
    return {first_line(id_) for id_ in wish.backup.snapshot.unfinished} <= present
