"""`headgate guards`: who is banned, and banning and pardoning by hand."""

import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.cli.layout import Layout
from extproc.cli.limits import (
    DEFAULT_STATE,
    PATIENCE_S,
    AsJson,
    RedisFlag,
    StateFlag,
    ask_store,
    check_state,
    leave,
    noted,
    urls,
)
from extproc.errors import PolicyError
from extproc.guards.base import BY_HAND, Ban, Bans, Barred, Case
from extproc.guards.subjects import KEY, USER, read_subject
from extproc.limits.standing import say_duration
from extproc.policy.guards import LONGEST_S
from extproc.policy.limits import DURATION, UNITS_S
from extproc.policy.load import load
from extproc.policy.status import read_statuses
from extproc.stores.bans_redis import open_bans

app = typer.Typer(help="Who is banned.", no_args_is_help=True)

T = TypeVar("T")

Subject = Annotated[str, typer.Argument(help="An address, key:ID or user:TENANT/USER.")]
Length = Annotated[str, typer.Option("--for", help="How long: 30s, 5m, 12h, 7d.")]


@app.command("list")
def list_bans(
    state: StateFlag = DEFAULT_STATE, redis: RedisFlag = None, as_json: AsJson = False
) -> None:
    """List the bans in force, those that end last at the end."""

    async def read(bans: Bans) -> Sequence[Ban]:
        found = [ban for ban in (await bans.read()).bans if ban.left_s > 0]
        return sorted(found, key=lambda ban: ban.left_s)

    report(ask(state, redis, read), as_json)


@app.command("ban")
def ban(
    subject: Subject,
    length: Length = "1h",
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    as_json: AsJson = False,
) -> None:
    """Refuse all requests of a client from now on, for so long; whatever ban there was ends then."""
    case, length_s = Case(read(subject), why=BY_HAND), read_length_s(length)
    check_state(state, redis)
    with noted(state) as record:
        made = ask(state, redis, lambda bans: bans.put(case, length_s))
        record.tell("ban.made", case.subject, for_s=length_s)
    for doubt in doubts(state, case.subject):
        typer.echo(doubt, err=True)
    if as_json:
        report([made], as_json)
    else:
        typer.echo(f"{case.subject} is banned for {say_duration(length_s)}")


@app.command("lift")
def lift(
    subject: Subject,
    state: StateFlag = DEFAULT_STATE,
    redis: RedisFlag = None,
    as_json: AsJson = False,
) -> None:
    """End whatever ban a client has, and forget those before it: the next one is as short as a first."""
    whom = read(subject)

    async def end(bans: Bans) -> list[Barred]:
        return [barred for barred in Barred if await bans.lift(Case(whom, barred))]

    check_state(state, redis)
    with noted(state) as record:
        ended = ask(state, redis, end)
        record.tell("ban.lifted", whom, lifted=", ".join(barred.value for barred in ended))
    if as_json:
        typer.echo(json.dumps({"subject": whom, "lifted": [barred.value for barred in ended]}))
    else:
        typer.echo(f"{whom} is {'free again' if ended else 'not banned'}")
    raise typer.Exit(0 if ended else 1)


def read(subject: str) -> str:
    try:
        return read_subject(subject)
    except ValueError as exc:
        leave(str(exc))


def read_length_s(text: str) -> int:
    match = DURATION.fullmatch(text)
    length_s = int(match[1]) * UNITS_S[match[2]] if match else 0
    if not 0 < length_s <= LONGEST_S:
        leave(f"--for {text!r}: write 30s, 5m, 12h or 7d, at most 31d")
    return length_s


def doubts(state: Path, subject: str) -> Iterator[str]:
    """Say why a ban may keep nobody out: by the policies of the workers there."""
    try:
        served = [
            load([Path(each) for each in s.directories]) for s in read_statuses(Layout(state).run)
        ]
    except PolicyError:
        return  # not ours to judge: what is in force may be an earlier version
    if not any(policy.guards.refusals is not None for policy in served):
        yield f"no worker in {state} has `guards: refusals` in its policy"
    kind, _, name = subject.partition(":")
    keys = {key.id: f"{key.tenant}/{key.user}" for policy in served for key in policy.keys}
    if served and kind == KEY and name not in keys:
        yield f"no worker in {state} knows a key {name!r}"
    if kind == USER and (theirs := sorted(f"{KEY}:{key}" for key in keys if keys[key] == name)):
        yield f"{subject} is whom tokens name; who sends a key is banned by it: {', '.join(theirs)}"


def ask(state: Path, redis: str | None, question: Callable[[Bans], Awaitable[T]]) -> T:
    store = open_bans(urls(state, redis)[0], PATIENCE_S)
    return ask_store(store, question, "bans cannot be reached")


def report(bans: Sequence[Ban], as_json: bool) -> None:
    if as_json:
        json.dump([document(each) for each in bans], sys.stdout, indent=2)
        typer.echo()
        return
    if not bans:
        typer.echo("nobody is banned")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("subject", "bars"):
        table.add_column(heading, overflow="fold")
    for heading in ("left", "times"):
        table.add_column(heading, justify="right")
    table.add_column("why", overflow="fold")
    for each in bans:
        why = f"{each.case.why} (shadow)" if each.case.shadow else each.case.why
        barred = each.case.barred.value.replace("_", " ")
        left, times = say_duration(each.left_s), str(each.times or "-")
        table.add_row(each.case.subject, barred, left, times, why)
    Console().print(table)


def document(ban: Ban) -> dict[str, object]:
    return {
        "subject": ban.case.subject,
        "barred": ban.case.barred.value,
        "since_ms": ban.since_ms,
        "left_s": round(ban.left_s, 3),
        "times": ban.times,
        "why": ban.case.why,
        "shadow": ban.case.shadow,
    }
