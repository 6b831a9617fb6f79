"""`headgate reconcile`: the ledger against the engines' own counters."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from extproc.cli.layout import Layout
from ledger.database import open_database
from ledger.question import UsageError, parse_time
from ledger.reconcile_report import as_json, as_text, find, is_right
from ledger.store import LedgerError

DEFAULT_STATE = Path(".headgate")
APART, UNREADABLE = 1, 2


def reconcile(
    since: Annotated[
        str | None,
        typer.Option(help="1h, 7d or an ISO time. Default: since each engine started."),
    ] = None,
    as_document: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    state: Annotated[
        Path, typer.Option("--state", help="State directory of the gateway.")
    ] = DEFAULT_STATE,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", help="Path or database URL. Default: ledger.sqlite in --state."),
    ] = None,
) -> None:
    """Compare the ledger with what the engines have counted. Exit code 0: every token is accounted
    for; 1: some are not; 2: cannot say."""
    try:
        begin = None if since is None else parse_time(since, datetime.now(UTC))
        since_ms = None if begin is None else round(begin.timestamp() * 1000)
        where = ledger or Layout(state).ledger
        with closing(open_database(where)) as database, database.transaction() as connection:
            findings = find(connection, since_ms)
    except (LedgerError, UsageError) as exc:
        leave(str(exc))
    typer.echo(as_json(findings) if as_document else as_text(findings))
    raise typer.Exit(0 if is_right(findings) else APART)


def leave(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(UNREADABLE)
