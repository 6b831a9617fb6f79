"""`headgate limits` and `headgate budget`: how limits stand, and forgetting what was taken."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.cli.auditing import Recorder, recording
from extproc.cli.layout import Layout
from extproc.errors import CountersFaultError, PolicyError
from extproc.limits.base import Algorithm, Counters, Limit, Standing, Unit
from extproc.limits.reach import Reach
from extproc.limits.standing import describe, say_duration
from extproc.policy.load import load
from extproc.policy.status import read_statuses
from extproc.stores.counters_servers import open_servers

app = typer.Typer(help="Limits as they stand.", no_args_is_help=True)

S = TypeVar("S")
T = TypeVar("T")

PATIENCE_S = 2.0
"""For a person, not for a request: a slow server still gets to answer."""

StateFlag = Annotated[Path, typer.Option("--state", help="The state directory.")]
RedisFlag = Annotated[
    str | None,
    typer.Option("--redis", envvar="HEADGATE_REDIS", help="URL of the counters, if not our own."),
]
PolicyFlag = Annotated[
    list[Path] | None, typer.Option("--policy", help="Default: what the workers serve.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Named = Annotated[str | None, typer.Option("--name", help="This limit only.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Of this tenant, and shared ones.")]
DEFAULT_STATE = Path(".headgate")


@app.command("show")
def show(
    tenant: Tenant = None,
    name: Named = None,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    policy: PolicyFlag = None,
    as_json: AsJson = False,
) -> None:
    """Say how much of each limit is taken, and by whom. Who has taken nothing is not listed."""
    reaches = [each for each in find_limits(state, policy) if name in (None, each.limit.name)]
    if name is not None and not reaches:
        leave(f"there is no limit {name!r} in the policy")
    standings = ask(state, redis, lambda counters: stand(counters, reaches, tenant))
    report(standings, as_json, "limit", reaches)


def budget(
    tenant: Tenant = None,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    policy: PolicyFlag = None,
    as_json: AsJson = False,
) -> None:
    """Say how much of each budget is spent in the period that runs now."""
    found = find_limits(state, policy)
    budgets = [each for each in found if each.limit.algorithm is Algorithm.BUDGET]
    standings = ask(state, redis, lambda counters: stand(counters, budgets, tenant))
    report(standings, as_json, "budget", budgets)


@app.command("reset")
def reset(
    name: Annotated[str, typer.Argument(help="The limit.")],
    scope: Annotated[
        str | None, typer.Argument(help="Whose count, as `show` lists it. Default: everybody's.")
    ] = None,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget what is taken of a limit. What runs now is settled all the same, and counts then."""
    whose = "everybody" if scope is None else scope or "all together"
    check_state(state, redis)
    if not yes:
        typer.confirm(f"Forget what {whose} has taken of {name}?", abort=True)

    async def forget(counters: Counters) -> int:
        scopes = await counters.scopes(name) if scope is None else [scope]
        return sum([await counters.reset(name, each) for each in scopes])

    with noted(state) as record:
        count = ask(state, redis, forget)
        record.tell("limits.reset", name, scope=whose, counts=count)
    typer.echo(f"reset {count} count{'' if count == 1 else 's'} of {name}")
    raise typer.Exit(0 if count else 1)


@contextmanager
def noted(state: Path) -> Generator[Recorder]:
    """Have a place to record what is about to be done, or leave with one line."""
    try:
        with recording(state) as record:
            yield record
    except OSError as exc:
        leave(f"it cannot be recorded: {exc}")


def find_limits(state: Path, directories: Sequence[Path] | None) -> list[Reach]:
    """Read the limits of a policy; of the one that workers serve, when none is named."""
    try:
        return [each.reach() for each in load(directories or served(state)).limits]
    except PolicyError as exc:
        leave_broken(exc, directories)


def leave_broken(exc: PolicyError, directories: Sequence[Path] | None) -> NoReturn:
    """Say what is wrong with a policy and, of the one that was not named, that it is not what is in force."""
    in_force = (
        "" if directories else "\nWorkers serve an earlier version: name its files with --policy."
    )
    leave(f"{exc}{in_force}")


def served(state: Path) -> Sequence[Path]:
    """Say where the policy is that workers serve, or leave with one line when none runs."""
    statuses = read_statuses(Layout(state).run)
    if not statuses:
        leave(f"no worker runs in {state}: name a policy with --policy")
    return [Path(each) for each in statuses[0].directories]


async def stand(
    counters: Counters, reaches: Sequence[Reach], tenant: str | None
) -> Sequence[Standing]:
    pairs = [
        (reach.limit, scope)
        for reach in reaches
        for scope in await counters.scopes(reach.limit.name)
        if tenant is None or reach.concerns(scope, tenant)
    ]
    return await counters.look(pairs)


def ask(state: Path, redis: str | None, question: Callable[[Counters], Awaitable[T]]) -> T:
    store = open_servers(urls(state, redis), PATIENCE_S)
    return ask_store(store, question, "the counters do not answer")


def check_state(state: Path, redis: str | None) -> None:
    """Leave with one line where no gateway has ever been: to record a change must not make a directory of a
    mistyped name. With `redis` the gateway may be elsewhere."""
    if redis is None and not state.is_dir():
        leave(f"there is no state directory {state}: name it with --state")


def urls(state: Path, redis: str | None) -> Sequence[str]:
    """Say where counters are; at the first of them are bans and answers as well."""
    return (redis or Layout(state.resolve()).counters_url).split()


def ask_store(
    store: AbstractAsyncContextManager[S], question: Callable[[S], Awaitable[T]], complaint: str
) -> T:
    """Open it and ask, and leave with one line when it does not answer."""

    async def answer() -> T:
        async with store as opened:
            return await question(opened)

    try:
        return asyncio.run(answer())
    except ValueError as exc:
        leave(f"{complaint}: {exc}")
    except (CountersFaultError, OSError) as exc:
        leave(f"{complaint}: {exc} (is `headgate up` running there? See --state and --redis)")


def report(standings: Sequence[Standing], as_json: bool, kind: str, known: Sequence[Reach]) -> None:
    if as_json:
        json.dump([document(each) for each in standings], sys.stdout, indent=2)
        typer.echo()
        return
    if not standings:
        typer.echo(f"nothing is taken of any {kind}" if known else f"the policy has no {kind}s")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("limit")
    table.add_column("scope", overflow="fold")
    table.add_column("of")
    for heading in ("used", "left", "%", "free in"):
        table.add_column(heading, justify="right")
    for each in standings:
        table.add_row(each.limit.name, each.scope or "all", describe(each.limit), *figures(each))
    Console().print(table)


def figures(each: Standing) -> tuple[str, str, str, str]:
    used = each.limit.amount - each.remaining
    colour = (
        "red"
        if used >= each.limit.amount
        else "yellow"
        if used * 5 >= each.limit.amount * 4
        else ""
    )
    percent = f"{100 * used / each.limit.amount:.0f}"
    shown = f"[{colour}]{percent}[/]" if colour else percent
    return (
        plain(each.limit, used),
        plain(each.limit, each.remaining),
        shown,
        say_duration(each.reset_s),
    )


def plain(limit: Limit, value: int) -> str:
    if limit.unit is Unit.USD:
        return f"{Decimal(value).scaleb(-9).quantize(Decimal('0.0001')):f}"
    return str(value)


def document(each: Standing) -> dict[str, object]:
    """Lay out one standing for programs; money in US dollars, as text, so that it stays exact."""
    limit = each.limit
    used, left = limit.amount - each.remaining, each.remaining
    scaled = [
        f"{Decimal(value).scaleb(-9):f}" if limit.unit is Unit.USD else value
        for value in (limit.amount, used, left)
    ]
    return {
        "limit": limit.name,
        "scope": each.scope,
        "algorithm": limit.algorithm.value,
        "unit": limit.unit.value,
        "amount": scaled[0],
        "used": scaled[1],
        "remaining": scaled[2],
        "reset_s": round(each.reset_s, 3),
        "shadow": limit.shadow,
    }


def leave(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
