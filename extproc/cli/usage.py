"""`headgate usage`: who used what, out of the ledger."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from extproc.cli.layout import Layout
from ledger.question import DIMENSIONS, STEPS, Order, Step, UsageError
from ledger.report import Form, UsageOptions, report_usage, save_focus, save_parquet
from ledger.store import LedgerError

DEFAULT_STATE = Path(".headgate")


def usage(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    by: Annotated[
        str,
        typer.Option(
            help=f"What to group by, comma-separated: {', '.join((*DIMENSIONS, *STEPS))}."
        ),
    ] = "tenant,model",
    since: Annotated[
        str, typer.Option(help="From when: 30m, 1h, 7d before now, or an ISO time in --tz.")
    ] = "24h",
    until: Annotated[
        str | None, typer.Option(help="Until when, the same way; exclusive. Default: now.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only these: tenant=acme, status!=200, user= for none; repeatable."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(help="So many groups one by one, the others together.")
    ] = None,
    sort: Annotated[Order, typer.Option(help="What makes a group great.")] = "tokens",
    step: Annotated[
        Step | None, typer.Option(help="A trend: a row for each hour, day... of each group.")
    ] = None,
    tz: Annotated[str, typer.Option(help="Time zone of days, and of times without one.")] = "UTC",
    compare: Annotated[
        bool, typer.Option("--compare", help="With the period of equal length before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    parquet: Annotated[
        Path | None, typer.Option(help="Write a Parquet file.", dir_okay=False)
    ] = None,
    focus: Annotated[
        Path | None,
        typer.Option(
            help="Write charges of whole days (--step hour: hours) in FOCUS 1.2; CSV, or *.parquet.",
            dir_okay=False,
        ),
    ] = None,
    provider: Annotated[str, typer.Option(help="In --focus: who sells and bills.")] = "Headgate",
    billed_after: Annotated[
        int, typer.Option(help="In --focus: days from the end of a month to its bill.", min=0)
    ] = 1,
    ledger: Annotated[
        str | None,
        typer.Option("--ledger", help="Path or database URL. Default: ledger.sqlite in --state."),
    ] = None,
    state: Annotated[
        Path, typer.Option("--state", help="State directory of the gateway.")
    ] = DEFAULT_STATE,
) -> None:
    """Say who used what, out of the ledger."""
    if sum(map(bool, (as_json, as_csv, parquet, focus))) > 1:
        leave("--json, --csv, --parquet and --focus exclude each other.")
    form: Form = "json" if as_json else "csv" if as_csv else "table"
    options = UsageOptions(
        ledger or Layout(state).ledger,
        by=by,
        since=since,
        until=until,
        where=tuple(where or ()),
        top=top,
        order=sort,
        step=step,
        zone=tz,
        compare=compare,
        form=form,
    )
    try:
        if parquet:
            save_parquet(options, parquet)
        elif focus:
            count = save_focus(options, focus, provider, timedelta(days=billed_after))
            typer.echo(f"{count:,} charges in {focus}", err=True)
        else:
            report_usage(options, sys.stdout)
    except (UsageError, LedgerError, OSError) as exc:
        leave(str(exc))


def leave(message: str) -> NoReturn:
    """Say it on stderr and leave with exit code 1."""
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
