"""`headgate ledger`: verify, export."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from extproc.cli.layout import Layout
from ledger.database import open_database
from ledger.export import ExportOptions, export
from ledger.files import Form
from ledger.manifest import ExportError, Part
from ledger.question import UsageError, parse_time, parse_zone
from ledger.roots import FILE_NAME, read_roots
from ledger.signing import PUBLIC_NAME, load_verifier
from ledger.store import LedgerError
from ledger.verify import Verdict, verify
from ledger.walk import Fault

app = typer.Typer(help="The ledger: prove it, and hand it on.", no_args_is_help=True)

StateFlag = Annotated[Path, typer.Option("--state", help="State directory of the gateway.")]
LedgerFlag = Annotated[
    str | None,
    typer.Option("--ledger", help="Path or database URL. Default: ledger.sqlite in --state."),
]
KeyFlag = Annotated[
    Path | None,
    typer.Option(help=f"Your own copy of the public key. Default: {PUBLIC_NAME} in --state."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

DEFAULT_STATE = Path(".headgate")
TAMPERED, UNREADABLE = 1, 2


@app.command("verify")
def verify_command(
    state: StateFlag = DEFAULT_STATE,
    ledger: LedgerFlag = None,
    roots: Annotated[
        Path | None,
        typer.Option(
            exists=True, help=f"Your own copy of the roots. Default: {FILE_NAME} in --state."
        ),
    ] = None,
    key: KeyFlag = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no entry was changed, removed or added. Exit code 0: so it is; 1: no; 2: cannot say."""
    try:
        with closing(open_database(ledger or Layout(state).ledger)) as database:
            verifier = load_verifier(key or state / PUBLIC_NAME)
            outside = read_roots(roots or state / FILE_NAME)
            verdict = verify(database, verifier, outside, show_progress)
    except (LedgerError, OSError) as exc:
        leave(str(exc), UNREADABLE)
    if as_json:
        show_json({"ok": not verdict.faults, **msgspec.structs.asdict(verdict)})
    else:
        typer.echo(tell(verdict))
    raise typer.Exit(TAMPERED if verdict.faults else 0)


@app.command("export")
def export_command(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    to: Annotated[
        Path, typer.Option(help="Directory; what is there already is not written again.")
    ],
    since: Annotated[
        str | None, typer.Option(help="First day: 2026-01-31, or 7d before now. Default: all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Day behind the last one, the same way.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Of the files.")] = "parquet",
    tz: Annotated[str, typer.Option(help="Time zone of the days.")] = "UTC",
    partial: Annotated[
        bool, typer.Option("--partial", help="Also what there is of the day that is not over.")
    ] = False,
    people: Annotated[
        bool, typer.Option("--people", help="Also a table of who the pseudonyms are.")
    ] = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Write entries as files for a warehouse: a directory for each day of booking, and a manifest."""
    try:
        zone, now = parse_zone(tz), datetime.now(UTC)
        options = ExportOptions(
            to,
            form=form,
            zone=zone,
            since=None if since is None else parse_time(since, now, zone),
            until=None if until is None else parse_time(until, now, zone),
            partial=partial,
            people=people,
            now=now,
        )
        with closing(open_database(ledger or Layout(state).ledger)) as database:
            manifest = export(database, options, tell_part)
    except (UsageError, ExportError, LedgerError, OSError) as exc:
        leave(str(exc), 1)
    days = manifest.partitions.values()
    rows = sum(part.rows for day in days for part in day.parts)
    typer.echo(f"{rows:,} entries of {len(days):,} days in {to}")


def tell_part(day: str, part: Part) -> None:
    typer.echo(f"{day}: {part.rows:,} entries, {part.bytes:,} bytes", err=True)


def tell(verdict: Verdict) -> str:
    """Say it in words, one line for each fault."""
    looked = f"{verdict.entries:,} entries in {verdict.chains:,} chains, {verdict.roots:,} roots"
    if verdict.faults:
        return "\n".join([f"not as it was written ({looked}):", *map(tell_fault, verdict.faults)])
    unsigned = f"; {verdict.unsigned:,} entries wait for the next root" if verdict.unsigned else ""
    trimmed = f"; {verdict.trimmed:,} deleted by retention, as signed" if verdict.trimmed else ""
    return f"ok: {looked}{trimmed}{unsigned}"


def tell_fault(fault: Fault) -> str:
    places = [
        None if fault.chain is None else f"chain {fault.chain or 'of nobody known'}",
        None if fault.root is None else f"root {fault.root}",
        None if fault.seq is None else f"entry {fault.seq} ({fault.settle_key})",
    ]
    return f"  {', '.join(place for place in places if place) or 'ledger'}: {fault.what}"


def show_json(document: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def show_progress(done: int, all_: int) -> None:
    if sys.stderr.isatty() and all_:
        typer.echo(f"\r{min(100 * done // all_, 100)} %", err=True, nl=done >= all_)


def leave(message: str, code: int) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED)
    raise typer.Exit(code)
