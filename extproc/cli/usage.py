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

By = Annotated[
    str,
    typer.Option(help=f"What to group by, comma-separated: {', '.join((*DIMENSIONS, *STEPS))}."),
]
Since = Annotated[
    str, typer.Option(help="From when: 30m, 1h, 7d before now, or an ISO time in --tz.")
]
Until = Annotated[
    str | None, typer.Option(help="Until when, the same way; exclusive. Default: now.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Only these: tenant=acme, status!=200, user= for none; repeatable."),
]
Top = Annotated[int | None, typer.Option(help="So many groups one by one, the others together.")]
Sort = Annotated[Order, typer.Option(help="What makes a group great.")]
StepFlag = Annotated[
    Step | None, typer.Option(help="A trend: a row for each hour, day... of each group.")
]
Zone = Annotated[str, typer.Option(help="Time zone of days, and of times without one.")]
Compare = Annotated[bool, typer.Option("--compare", help="With the period of equal length before.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="For spreadsheets.")]
Parquet = Annotated[Path | None, typer.Option(help="Write a Parquet file.", dir_okay=False)]
Focus = Annotated[
    Path | None,
    typer.Option(
        help="Write charges of whole days (--step hour: hours) in FOCUS 1.2: CSV, or *.parquet.",
        dir_okay=False,
    ),
]
Provider = Annotated[str, typer.Option(help="In --focus: who sells and bills.")]
BilledAfter = Annotated[
    int, typer.Option(help="In --focus: days from the end of a month to its bill.", min=0, max=27)
]
LedgerFlag = Annotated[
    str | None,
    typer.Option("--ledger", help="Path or database URL. Default: ledger.sqlite in --state."),
]
StateFlag = Annotated[Path, typer.Option("--state", help="State directory of the gateway.")]


def usage(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    by: By = "tenant,model",
    since: Since = "24h",
    until: Until = None,
    where: Where = None,
    top: Top = None,
    sort: Sort = "tokens",
    step: StepFlag = None,
    tz: Zone = "UTC",
    compare: Compare = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    parquet: Parquet = None,
    focus: Focus = None,
    provider: Provider = "Headgate",
    billed_after: BilledAfter = 1,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
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
            typer.echo(f"{save_parquet(options, parquet):,} rows in {parquet}")
        elif focus:
            count = save_focus(options, focus, provider, timedelta(days=billed_after))
            typer.echo(f"{count:,} charges in {focus}")
        else:
            report_usage(options, sys.stdout)
    except (UsageError, LedgerError, OSError) as exc:
        leave(str(exc))


def leave(message: str) -> NoReturn:
    """Say it on stderr and leave with exit code 1."""
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
