"""`headgate audit`: verify, search, export, trim."""

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from audit.collect import read_to
from audit.export import Export, export
from audit.journal import DIRECTORY
from audit.manifest import Form, Sheet
from audit.prove import Proof, prove
from audit.reading import count_waiting
from audit.record import LEAST_DAYS
from audit.rooting import FILE_NAME
from audit.search import Search, find
from audit.store import audit_place, open_audit
from audit.trim import Trimmer, cutoff_ms
from audit.verify import Verdict, verify
from extproc.cli.auditing import recording
from extproc.cli.findings import lay_out, tell
from extproc.cli.layout import Layout
from extproc.cli.ledger import (
    DEFAULT_STATE,
    TAMPERED,
    UNREADABLE,
    AsJson,
    KeyFlag,
    StateFlag,
    leave,
    show_json,
)
from ledger.config import ConfigFile
from ledger.database import Database
from ledger.manifest import ExportError
from ledger.question import UsageError, parse_time
from ledger.retention import DAY_MS
from ledger.roots import Root, read_roots
from ledger.signing import PRIVATE_NAME, PUBLIC_NAME, Signer, Verifier, load_signer, load_verifier
from ledger.store import LedgerError

app = typer.Typer(help="Who did what: prove it, find it, hand it on.", no_args_is_help=True)

LedgerFlag = Annotated[
    str | None,
    typer.Option("--ledger", help="Database URL, if the ledger's is not in --state."),
]
_FAULTS = (LedgerError, ExportError, UsageError, OSError)
FAILED = 1
WIDE = 200
"""Columns where there is no terminal."""


@app.command("verify")
def verify_command(
    roots: Annotated[
        Path | None,
        typer.Option(
            exists=True, help=f"Your own copy of the roots. Default: {FILE_NAME} in --state."
        ),
    ] = None,
    key: KeyFlag = None,
    exported: Annotated[
        Path | None, typer.Option("--export", help="Prove an export instead; no store is needed.")
    ] = None,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Prove that no record was changed, removed or added. Exit code 0: so it is; 1: no; 2: cannot say."""
    try:
        if exported is not None:
            verdict: Verdict | Proof = prove(exported, *trusted(state, key, roots))
        else:
            with opened(state, ledger) as database:
                verdict = verify(database, *trusted(state, key, roots))
    except _FAULTS as exc:
        leave(str(exc), UNREADABLE)
    if as_json:
        show_json({"ok": not verdict.faults, **msgspec.structs.asdict(verdict)})
    else:
        typer.echo(tell(verdict))
    raise typer.Exit(TAMPERED if verdict.faults else 0)


@app.command("search")
def search(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    since: Annotated[str | None, typer.Option(help="2026-01-31, or 7d before now.")] = None,
    until: Annotated[str | None, typer.Option(help="The same way; not including it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant.")] = None,
    actor: Annotated[str | None, typer.Option(help="By this user, key or account.")] = None,
    action: Annotated[
        str | None, typer.Option(help="`key.revoked`, or all that begin with `key`.")
    ] = None,
    what: Annotated[
        str | None, typer.Option("--object", help="Done to this key, model, rule or policy.")
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="Of one request.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Find records, oldest first."""
    try:
        wanted = Search(
            time_ms(since), time_ms(until), tenant, actor, action, what, request_id, limit
        )
        with opened(state, ledger) as database, database.transaction() as connection:
            hits = find(connection, wanted)
            waiting = count_waiting(state / DIRECTORY, partial(read_to, connection))
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    if waiting:
        typer.echo(f"{waiting:,} more wait to be collected by the settle process", err=True)
    if as_json:
        show_json(hits)
    elif hits:
        wide = None if sys.stdout.isatty() else WIDE
        Console(width=wide, highlight=False).print(lay_out(hits))
    else:
        typer.echo("no such records")


@app.command("export")
def export_command(
    directory: Annotated[Path, typer.Argument(help="What is there is never written again.")],
    form: Annotated[Form, typer.Option("--format", help="Of the files.")] = "jsonl",
    partial_: Annotated[
        bool, typer.Option("--partial", help="Also what there is of the day that is not over.")
    ] = False,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Write records as files for reading only, one for each day, each with a signed manifest."""
    told: list[Sheet] = []
    try:
        with opened(state, ledger) as database, recording(state) as record:
            wish = Export(directory, form, partial_, now_ms())
            done = export(database, signer_of(state), wish, told.append)
            record.tell("audit.exported", str(directory), records=sum(each.rows for each in told))
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    if as_json:
        show_json({"written": told, "files": len(done), "records": sum(each.rows for each in done)})
        return
    for sheet in told:
        typer.echo(f"{sheet.file}: {sheet.rows:,} records", err=True)
    rows = sum(sheet.rows for sheet in done)
    typer.echo(f"{rows:,} records in {len(done):,} files in {directory}")


@app.command("trim")
def trim(
    before: Annotated[
        str | None, typer.Option(help="What was collected before 2026-01-31, or 400d ago.")
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(help="Export there first, and delete nothing that is not there."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Delete records that were kept long enough: as the policy says, or older than --before. What is
    left can still be proved."""
    try:
        before_ms = limit_ms(before, state)
        with opened(state, ledger, writes=True) as database:
            trimmer = Trimmer(database, signer_of(state))
            count, _ = trimmer.plan(before_ms)
            if dry_run:
                typer.echo(f"{count:,} records would be deleted")
                return
            if count and not yes:
                typer.confirm(f"Delete {count:,} audit records for good?", abort=True)
            with recording(state) as record:
                last_seq = None if archive is None else archived(database, state, archive)
                deleted = trimmer.trim(before_ms, last_seq)
                record.tell("audit.trimmed", "audit", records=deleted, archive=str(archive or ""))
    except _FAULTS as exc:
        leave(str(exc), FAILED)
    typer.echo(f"{deleted:,} records deleted")


def archived(database: Database, state: Path, directory: Path) -> int:
    """Export, prove what is there, and say up to which record it goes. Raises ExportError."""
    if not export(database, signer_of(state), Export(directory, now_ms=now_ms()), lambda _: None):
        return 0
    proof = prove(directory, load_verifier(state / PUBLIC_NAME), read_roots(state / FILE_NAME))
    if proof.faults:
        raise ExportError(f"nothing is deleted: {directory}: {proof.faults[0].what}")
    return proof.last_seq


def limit_ms(before: str | None, state: Path) -> int:
    """Say what may go. Raises UsageError when it was not kept as long as the policy wants."""
    days = ConfigFile(Layout(state).settle_config).current().audit.days
    if before is None:
        return cutoff_ms(days, now_ms())
    wanted_ms, least = time_ms(before) or 0, min(days, LEAST_DAYS)
    if wanted_ms > now_ms() - least * DAY_MS:
        raise UsageError(f"audit records are kept for {least} days at least; the policy says so")
    return wanted_ms


def signer_of(state: Path) -> Signer:
    """Raises LedgerError when there is no key: what is done must be signed for."""
    if not (state / PRIVATE_NAME).exists():
        raise LedgerError(f"{state} has no {PRIVATE_NAME}, and this must be signed for")
    return load_signer(state)


def trusted(state: Path, key: Path | None, roots: Path | None) -> tuple[Verifier, Iterator[Root]]:
    """Read what a proof goes by: copies from outside, or what lies in the state directory.
    Raises LedgerError, OSError."""
    return load_verifier(key or state / PUBLIC_NAME), read_roots(roots or state / FILE_NAME)


def opened(state: Path, ledger: str | None, *, writes: bool = False) -> closing[Database]:
    """Raises LedgerError."""
    return closing(open_audit(audit_place(state, ledger), writes=writes))


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def time_ms(text: str | None) -> int | None:
    """Raises UsageError."""
    now = datetime.now(UTC)
    return None if text is None else round(parse_time(text, now).timestamp() * 1000)
