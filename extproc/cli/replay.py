"""`headgate policy replay`: what another policy would have refused, and what it would have cost."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, select

from extproc.cli.layout import Layout
from extproc.errors import PolicyError, Reason
from extproc.limits.reach import Reach
from extproc.limits.replay import Past, Replay, Tally
from extproc.policy.load import load
from extproc.policy.models import Policy
from extproc.policy.tables import model_table
from extproc.request import Identity, Kind, Model
from extproc.stores.counters_memory import MemoryCounters
from ledger.database import open_database
from ledger.figures import write_usd
from ledger.price import cost
from ledger.question import UsageError, parse_time
from ledger.sighting import Usage
from ledger.store import LedgerError
from ledger.tables import REQUEST

LIMITED = frozenset(
    each.value.code for each in (Reason.RATE_LIMIT, Reason.ABOVE_LIMIT, Reason.BUDGET)
)
KINDS = {kind.value: kind for kind in Kind}
AT_ONCE = 1000
TOLD_EVERY = 50_000


def replay(
    policy: Annotated[
        list[Path], typer.Option("--policy", help="Directory of the policy to try; repeatable.")
    ],
    since: Annotated[
        str, typer.Option(help="From when: 1h, 7d before now, or an ISO time.")
    ] = "1d",
    until: Annotated[str | None, typer.Option(help="Until when, the same way.")] = None,
    state: Annotated[Path, typer.Option("--state", help="The state directory.")] = Path(
        ".headgate"
    ),
    ledger: Annotated[
        str | None, typer.Option(help="Path or database URL. Default: ledger.sqlite in --state.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Play the ledger's requests against another policy: who would be refused, at what cost.

    Its limits and prices are tried; who may use what is not.
    """
    now = datetime.now(UTC)
    try:
        tried = load(policy)
        span = (parse_time(since, now), parse_time(until, now) if until else now)
        database = open_database(ledger or Layout(state).ledger)
        try:
            with database.transaction() as connection:
                tallies = asyncio.run(play(tried, pasts(connection, span, prices(tried))))
        finally:
            database.close()
    except (PolicyError, UsageError, LedgerError) as exc:
        leave(str(exc))
    print_json(tallies) if as_json else print_table(tallies)


async def play(policy: Policy, given: Iterator[Past]) -> Mapping[str, Tally]:
    now_ms = [0]

    def set_clock_ms(ms: int) -> None:
        now_ms[0] = max(now_ms[0], ms)

    reaches: Sequence[Reach] = [limit.reach() for limit in policy.limits]
    counters = MemoryCounters(lambda: now_ms[0] * 1000)
    return await Replay(reaches, counters, set_clock_ms).run(given)


def prices(policy: Policy) -> Mapping[tuple[str, str], str]:
    """What each track of each model costs by this policy."""
    return {
        (share.model.name, share.model.track): share.model.price
        for tracks in model_table(policy).values()
        for share in tracks.shares
    }


def pasts(
    connection: Connection,
    span: tuple[datetime, datetime],
    tried: Mapping[tuple[str, str], str],
) -> Iterator[Past]:
    """Read the requests of a period that met limits or would have; the others cost nothing."""
    since_ms, until_ms = (round(time.timestamp() * 1000) for time in span)
    start = REQUEST.c.start_ms
    query = select(REQUEST).where(start >= since_ms, start < until_ms).order_by(start)
    found = connection.execution_options(yield_per=AT_ONCE).execute(query)
    for number, values in enumerate(found, 1):
        row = dict(zip(REQUEST.columns.keys(), values, strict=True))
        if number % TOLD_EVERY == 0 and sys.stderr.isatty():
            print(f"\r{number:,} requests", end="", file=sys.stderr)  # noqa: T201 - progress
        limited = row["deny_reason"] in LIMITED
        known = row["tenant"] and row["model"] and row["operation"] in KINDS
        if known and (limited or not row["deny_reason"]):
            yield past(row, tried, limited=limited)


def past(row: Mapping[str, Any], tried: Mapping[tuple[str, str], str], *, limited: bool) -> Past:
    name, track = row["model"] or "", row["track"] or "stable"
    usage = Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])
    then = cost(row["price"], usage) if row["price"] else None
    parts = (then.uncached_pusd, then.cached_pusd, then.completion_pusd) if then else ()
    groups = frozenset((row["groups"] or "").split(",")) - {""}
    return Past(
        key=row["settle_key"],
        start_ms=row["start_ms"],
        end_ms=row["start_ms"] + (row["latency_us"] or 0) // 1000,
        kind=KINDS[row["operation"]],
        identity=Identity(
            row["tenant"],
            row["key_id"] or "",
            row["project"] or "",
            row["user"] or "",
            groups=groups,
        ),
        model=Model(name, row["pool"] or "", name, track, price=tried.get((name, track), "")),
        usage=usage,
        cost_pusd=sum(part or 0 for part in parts),
        was_limited=limited,
        failed=(row["status"] or 0) >= 300 and not limited and not row["prompt_tokens"],
    )


def print_table(tallies: Mapping[str, Tally]) -> None:
    if not tallies:
        typer.echo("there were no requests")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("tenant")
    for heading in ("requests", "refused", "let in now", "cost then", "cost now (USD)"):
        table.add_column(heading, justify="right")
    table.add_column("by limit")
    for tenant, tally in sorted(tallies.items(), key=lambda item: -item[1].refused):
        reasons = [f"{name} {count}" for name, count in sorted(tally.by_limit.items())]
        reasons += [f"{name} {count} (shadow)" for name, count in sorted(tally.shadowed.items())]
        table.add_row(
            tenant,
            *(f"{count:,}" for count in (tally.requests, tally.refused, tally.admitted_now)),
            *(write_usd(pusd) for pusd in (tally.cost_then_pusd, tally.cost_now_pusd)),
            ", ".join(reasons),
        )
    Console().print(table)


def print_json(tallies: Mapping[str, Tally]) -> None:
    document = {
        tenant: {
            "requests": tally.requests,
            "refused": tally.refused,
            "admitted_now": tally.admitted_now,
            "cost_then_usd": write_usd(tally.cost_then_pusd),
            "cost_now_usd": write_usd(tally.cost_now_pusd),
            "refused_by": tally.by_limit,
            "shadowed_by": tally.shadowed,
        }
        for tenant, tally in sorted(tallies.items())
    }
    typer.echo(json.dumps(document, indent=2))


def leave(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
