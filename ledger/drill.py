"""A drill: lose a ledger under load, restore it, and measure what that takes and what is missing.

It works on a copy, in a directory of its own, beside which the real gateway goes on. The copy is as
large as the real ledger, so the time is the one it would take. Two losses are measured:

    the ledger alone       the access log is there: RPO is what is missing after its replay
    ledger and log         nothing but the backup is there: RPO is everything since

RTO is the time from the decision to restore until the ledger is whole and signed.
"""

import shutil
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row, select

from ledger.backup import back_up, copy
from ledger.database import open_database
from ledger.drill_load import Load, Settling
from ledger.replay import settle
from ledger.restore import Restored, Wish, restore
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.snapshot import Backup, choose
from ledger.sql import open_ledger
from ledger.tables import REQUEST, USAGE_QUARTER
from ledger.trimmed import Trimmed, read_sums, sums
from ledger.verify import verify

_ROW = [column for column in REQUEST.c if column.name not in ("seq", "revision", "booked_ms")]


@dataclass(frozen=True, slots=True)
class Course:
    """How it goes."""

    for_s: float = 3.0
    """Under load: a third until the backup begins, a half until the settle process ends, and the rest
    until the loss."""
    rate: float = 200.0
    """Requests per second."""


class Loss(msgspec.Struct, frozen=True):
    """What one loss came to."""

    rto_s: float
    check_s: float
    place_s: float
    replay_s: float
    entries: int
    """In the restored ledger."""
    replayed: int
    rpo_requests: int
    """Missing in it."""
    rpo_s: float
    """From the first that is missing to the loss."""


class Drilled(msgspec.Struct, frozen=True):
    """The result."""

    ok: bool
    """With the log there, nothing was missing, nothing was there twice, and all of it verified."""
    requests: int
    """Under load, until the loss."""
    ledger_bytes: int
    backup_s: float
    backup_age_s: float
    """At the loss."""
    ledger_lost: Loss
    ledger_and_log_lost: Loss


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where it happens."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    @property
    def access_log(self) -> Path:
        return self.state / "log" / "access.jsonl"

    @property
    def journals(self) -> Path:
        return self.state / "journal"

    @property
    def backups(self) -> Path:
        return self.directory / "backups"

    @property
    def lost(self) -> Path:
        """The ledger that was lost, and then went on as if it had not been."""
        return self.directory / "lost" / "ledger.sqlite"

    @property
    def bare(self) -> Path:
        """A machine on which nothing is left."""
        return self.directory / "bare"


COURSE = Course()


def drill(ledger: Path, state: Path, directory: Path, course: Course = COURSE) -> Drilled:
    """Run it in `directory`, which is empty: takes four times the ledger's size for a while.

    Raises: BackupError, LedgerError, OSError.
    """
    scene = _Scene(directory)
    _set(scene, ledger, state)
    with Load(scene.access_log, scene.journals, course.rate) as load:
        with Settling(scene.ledger, scene.access_log, scene.journals) as settling:
            time.sleep(course.for_s / 3)
            settling.catch_up()
            begin_s = time.monotonic()
            backup = back_up(scene.ledger, scene.state, scene.backups)
            backup_s = time.monotonic() - begin_s
            time.sleep(course.for_s / 2)
        time.sleep(course.for_s / 6)
    lost_ms = round(time.time() * 1000)
    _lose(scene)
    whole, rto_s = _restore(scene, scene.state)
    bare, bare_rto_s = _restore(scene, scene.bare)
    with closing(open_ledger(scene.lost)) as expected:  # as if it had not been lost
        settle(scene.access_log, scene.journals, expected)
    return Drilled(
        ok=_is_same(scene, backup),
        requests=load.requests,
        ledger_bytes=backup.snapshot.bytes,
        backup_s=backup_s,
        backup_age_s=(lost_ms - backup.snapshot.at_ms) / 1000,
        ledger_lost=_loss(whole, rto_s, _missing(scene, scene.state, backup), lost_ms),
        ledger_and_log_lost=_loss(bare, bare_rto_s, _missing(scene, scene.bare, backup), lost_ms),
    )


def _set(scene: _Scene, ledger: Path, state: Path) -> None:
    """Copy the ledger, and the keys that its roots can be verified with."""
    scene.state.mkdir()
    if ledger.exists():
        copy(ledger, scene.ledger)
        if (state / PUBLIC_NAME).exists():
            shutil.copyfile(state / PUBLIC_NAME, scene.state / PUBLIC_NAME)
    load_signer(scene.state)


def _lose(scene: _Scene) -> None:
    scene.lost.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        part = scene.ledger.with_name(scene.ledger.name + suffix)
        if part.exists():
            part.rename(scene.lost.with_name(part.name))


def _restore(scene: _Scene, state: Path) -> tuple[Restored, float]:
    begin_s = time.monotonic()
    backup, later = choose(scene.backups, None)
    done = restore(Wish(backup, later, state / "ledger.sqlite", state))
    return done, time.monotonic() - begin_s


def _loss(done: Restored, rto_s: float, missing: Mapping[str, int], lost_ms: int) -> Loss:
    return Loss(
        rto_s=rto_s,
        check_s=done.check_s,
        place_s=done.place_s,
        replay_s=done.replay_s,
        entries=done.entries + done.replayed,
        replayed=done.replayed,
        rpo_requests=len(missing),
        rpo_s=(lost_ms - min(missing.values())) / 1000 if missing else 0.0,
    )


def _missing(scene: _Scene, state: Path, backup: Backup) -> dict[str, int]:
    """Tell which rows are not as they would be without the loss, and when those requests began."""
    restored = _rows(state / "ledger.sqlite", backup.snapshot.seq)
    return {
        key: row.start_ms
        for key, row in _rows(scene.lost, backup.snapshot.seq).items()
        if restored.get(key) != row
    }


def _is_same(scene: _Scene, backup: Backup) -> bool:
    if _missing(scene, scene.state, backup) or _sums(scene.ledger) != _sums(scene.lost):
        return False
    with closing(open_database(scene.ledger)) as database:
        verdict = verify(database, load_verifier(scene.state / PUBLIC_NAME))
    return not verdict.faults and not verdict.unsigned


def _rows(ledger: Path, after_seq: int) -> dict[str, Row[Any]]:
    """Read what was booked after the backup, as far as it does not depend on when that was."""
    with closing(open_database(ledger)) as database, database.transaction() as connection:
        rows = connection.execute(select(*_ROW).where(REQUEST.c.seq > after_seq))
        return {row.settle_key: row for row in rows}


def _sums(ledger: Path) -> Trimmed:
    with closing(open_database(ledger)) as database, database.transaction() as connection:
        return read_sums(connection.execute(select(*sums(USAGE_QUARTER))).one())
