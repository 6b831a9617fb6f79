"""`headgate ledger`: backup, restore, drill."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from extproc.cli.auditing import recording
from extproc.cli.layout import Layout
from extproc.cli.ledger import DEFAULT_STATE, AsJson, LedgerFlag, StateFlag, leave, show_json
from ledger.backup import back_up, sqlite_path
from ledger.drill import Course, Drilled, Loss
from ledger.drill import drill as run_drill
from ledger.question import UsageError, parse_time
from ledger.restore import Restored, Wish
from ledger.restore import restore as run_restore
from ledger.snapshot import Backup, BackupError, choose
from ledger.store import LedgerError

FAILED, INCOMPLETE = 1, 3

_FAULTS = (BackupError, LedgerError, UsageError, OSError, ValueError)


def backup(
    directory: Annotated[Path, typer.Argument(help="A directory for each backup is made there.")],
    keep: Annotated[
        int | None, typer.Option(min=1, help="Delete all but the last so many. Default: none.")
    ] = None,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Copy the ledger while it is written, and what the access log grew by since the last backup."""
    layout = Layout(state)
    try:
        with recording(state) as record:
            done = back_up(sqlite_path(ledger or layout.ledger), layout.root, directory, keep=keep)
            record.tell("ledger.backed_up", str(done.path), entries=done.snapshot.entries)
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    if as_json:
        show_json({"backup": str(done.path), **msgspec.structs.asdict(done.snapshot)})
    else:
        typer.echo("\n".join(_tell_backup(done)))


def restore(
    directory: Annotated[Path, typer.Argument(help="Of backups, or of one backup.")],
    at: Annotated[
        str | None,
        typer.Option(help="As it was at 2026-01-31T12:00Z, or 2h ago. Default: up to now."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(exists=True, help="Public keys you trust. Default: those in --state."),
    ] = None,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Put a backup in place, and settle from the logs in --state whatever came after it. No settle
    process may run. Exit code 0: all is there; 3: a log is gone, and what it told of is missing."""
    layout = Layout(state.resolve())
    try:
        at_ms = None if at is None else _ms(parse_time(at, datetime.now(UTC)))
        chosen, later = choose(directory, at_ms)
        path = sqlite_path(ledger or layout.ledger)
        with recording(layout.root) as record:
            done = run_restore(Wish(chosen, later, path, layout.root, at_ms, key))
            record.tell("ledger.restored", str(done.backup), entries=done.entries, at=at or "now")
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    if as_json:
        show_json(done)
    else:
        typer.echo("\n".join(_tell_restored(done)))
    raise typer.Exit(0 if done.complete else INCOMPLETE)


def drill(
    for_s: Annotated[
        float, typer.Option("--for", min=0.1, help="Seconds under load until it is lost.")
    ] = 3.0,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Lose a copy of the ledger under load and restore it: how long does that take, what is missing?"""
    layout = Layout(state)
    if not layout.root.is_dir():
        leave(f"no gateway has run in {layout.root}", FAILED)
    try:
        path = sqlite_path(ledger or layout.ledger)
        # Beside the real one: the same disk, and for its owner alone.
        with tempfile.TemporaryDirectory(prefix=".drill-", dir=layout.root) as directory:
            done = run_drill(path, layout.root, Path(directory), Course(for_s))
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    if as_json:
        show_json(done)
    else:
        typer.echo("\n".join(_tell_drilled(done)))
    raise typer.Exit(0 if done.ok else FAILED)


def _tell_backup(done: Backup) -> Iterator[str]:
    snapshot = done.snapshot
    size = f"{snapshot.bytes / 1e6:,.1f} MB"
    yield f"{done.path}: {snapshot.entries:,} entries, {size}, {len(snapshot.log)} pieces of logs"
    if snapshot.missed:
        yield (
            f"{len(snapshot.missed)} logs were gone before they could be copied: moments since the "
            "backup before cannot be restored. Back up more often than logs are thrown away"
        )


def _tell_restored(done: Restored) -> Iterator[str]:
    yield f"{done.backup}: {done.entries:,} entries, verified in {done.check_s:.1f} s"
    if not done.own_key:
        yield "verified with the key in the backup itself; to prove more, say --key"
    if done.erased:
        yield f"{done.erased:,} people who were erased since are forgotten again"
    if done.aside is not None:
        yield f"what was there is now {done.aside}"
    yield f"{done.replayed:,} entries booked from the logs in {done.replay_s:.1f} s, and all is signed"
    if not done.complete:
        yield (
            "A log that the backup was reading is gone: what ended after "
            f"{_time(done.at_ms)} and stood only there is missing"
        )


def _tell_drilled(done: Drilled) -> Iterator[str]:
    yield (
        f"lost under load, {done.requests:,} requests in, {done.backup_age_s:.1f} s after a backup "
        f"({done.ledger_bytes / 1e6:,.1f} MB in {done.backup_s:.2f} s)"
    )
    yield _tell_loss("ledger lost", done.ledger_lost)
    yield _tell_loss("ledger and log lost", done.ledger_and_log_lost)
    if done.ok:
        yield "ok: with the log there, the restored ledger is what it would have been, and verifies"
    else:
        yield "NOT the ledger that was lost: see `headgate ledger verify`, and do not rely on backups"


def _tell_loss(what: str, loss: Loss) -> str:
    steps = f"verify {loss.check_s:.2f}, place {loss.place_s:.2f}, replay {loss.replay_s:.2f}"
    missing = f"{loss.rpo_requests:,} requests, {loss.rpo_s:.1f} s"
    return f"{what}: RTO {loss.rto_s:.2f} s for {loss.entries:,} entries ({steps}); RPO {missing}"


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
