"""`headgate endpoints`: engines as they are now, out of the watch process."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated, NoReturn

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from engines.watch import hub, messages
from engines.watch.link import Link
from extproc.board import Board, EndpointRow
from extproc.cli.layout import Layout
from extproc.errors import PolicyError
from extproc.policy.load import load
from extproc.policy.status import read_statuses
from extproc.routing.condition import HealthRules

DEFAULT_STATE = Path(".headgate")
PATIENCE_S = 2.0
"""For a first look at every engine; one that hangs is shown without."""
STEP_S = 0.02
REFRESH_S = 0.5
COLOURS = {"open": "red", "half_open": "yellow", "stale": "yellow", "draining": "cyan"}
HEADINGS = ("run", "wait", "KV %", "ours", "tok/s", "ITL ms", "hit %", "age s", "warm %")
"""Short, so that a terminal of 80 columns has room: docs/health.md says what they are."""

StateFlag = Annotated[Path, typer.Option("--state", help="The state directory.")]
PoolFlag = Annotated[str | None, typer.Option("--pool", help="Of this pool only.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
WatchFlag = Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")]


def endpoints(
    pool: PoolFlag = None,
    as_json: AsJson = False,
    watch: WatchFlag = False,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Show every engine: its state and why, its load, what it has shown it can do."""
    layout = Layout(state.resolve())
    if as_json and watch:
        leave("--json and --watch exclude each other")
    if not (layout.run / hub.NAME).exists():
        leave(f"nobody looks at engines in {state}: is `headgate up` running?")
    board = Board(read_rules(layout))
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(follow(layout, board, pool))
        return
    asyncio.run(listen(layout, board))
    rows = board.rows(monotonic(), pool)
    if not rows:
        leave(f"there is no pool {pool!r}" if pool else "no engine is known yet")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        Console().print(lay_out(rows))


def read_rules(layout: Layout) -> Mapping[str, HealthRules]:
    """Read what workers go by; the defaults while nobody can say."""
    statuses = read_statuses(layout.run)
    try:
        found = load([Path(each) for each in statuses[0].directories]) if statuses else None
    except PolicyError:
        found = None
    return {pool.name: pool.health.rules() for pool in found.pools} if found else {}


async def listen(layout: Layout, board: Board) -> None:
    """Hear what there is, until every endpoint was looked at."""
    whole = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        link = tasks.create_task(connect(layout, board, whole).run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(whole.wait(), PATIENCE_S)
        link.cancel()
    hear_workers(layout, board)


async def follow(layout: Layout, board: Board, pool: str | None) -> None:
    """Show it until somebody interrupts."""
    await listen(layout, board)
    with Live(lay_out(board.rows(monotonic(), pool)), auto_refresh=False) as screen:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(connect(layout, board, asyncio.Event()).run())
            while True:
                await asyncio.sleep(REFRESH_S)
                hear_workers(layout, board)
                screen.update(lay_out(board.rows(monotonic(), pool)), refresh=True)


def connect(layout: Layout, board: Board, whole: asyncio.Event) -> Link:
    def hear(message: messages.Any) -> None:
        board.hear(message, monotonic())
        if board.is_whole:
            whole.set()

    return Link(layout.run / hub.NAME, hear)


def hear_workers(layout: Layout, board: Board) -> None:
    board.hear_workers([each.ailing for each in read_statuses(layout.run)])


def lay_out(rows: Sequence[EndpointRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("pool", overflow="fold")
    table.add_column("endpoint", no_wrap=True)
    table.add_column("state", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for each in rows:
        table.add_row(escape(each.pool), escape(each.endpoint), say_state(each), *figures(each))
    return table


def say_state(row: EndpointRow) -> str:
    colour = COLOURS.get(row.state, "green" if not row.reasons else "yellow")
    reasons = escape(", ".join(row.reasons))
    why = f" ({reasons})" if reasons and row.state != "draining" else ""
    return f"[{colour}]{row.state.replace('_', '-')}[/]{why}"


def figures(row: EndpointRow) -> tuple[str, ...]:
    return (
        say(row.running),
        say(row.waiting),
        say(row.kv_usage, 100),
        say(row.in_flight),
        say(row.prefill_tokens_per_s),
        say(row.itl_s, 1000, 1),
        say(row.cached_share, 100),
        say(row.look_age_s, 1, 1),
        say(row.warmth, 100),
    )


def say(value: float | None, times: int = 1, decimals: int = 0) -> str:
    return "-" if value is None else f"{value * times:.{decimals}f}"


def leave(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
