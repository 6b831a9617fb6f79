"""`headgate scan`: personal data that was kept unmasked. Values are never shown."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from audit.journal import DIRECTORY
from audit.store import audit_place
from extproc.cli.layout import Layout
from extproc.cli.ledger import DEFAULT_STATE, AsJson, StateFlag
from extproc.cli.scanning import (
    UnreadError,
    find_files,
    name_piece,
    read_database,
    read_file,
    read_keys,
)
from extproc.errors import CountersFaultError, PolicyError
from extproc.policy.load import load
from extproc.safety.pii.engine import shipped
from extproc.safety.pii.own import Own
from extproc.safety.pii.rules import TYPES
from extproc.safety.scan import MOST_PLACES, Piece, Report, Scanner
from extproc.stores import decisions
from extproc.stores.counters_redis import PREFIX
from extproc.stores.redis_address import read_url
from extproc.stores.redis_line import open_line
from ledger.database import Database, find_database, open_database
from ledger.store import LedgerError

FOUND, UNREAD = 1, 2
SHOWN = 100
"""Places that are told to people; `--json` tells more."""
DEADLINE_S = 5.0
"""For one call to Redis."""
EVERY_S = 0.5
"""How often a terminal is told how far it is."""

Paths = Annotated[list[Path] | None, typer.Argument(help="Files and directories.")]
Types = Annotated[str | None, typer.Option(help="Only these: email,phone. Default: all.")]
Without = Annotated[str | None, typer.Option(help="Not these: ip_address.")]
PolicyFlag = Annotated[
    list[Path] | None, typer.Option("--policy", help="With the patterns and words of this policy.")
]
RedisFlag = Annotated[
    str | None, typer.Option("--redis", envvar="HEADGATE_REDIS", help="URL, if not our own.")
]
LedgerUrl = Annotated[
    str | None, typer.Option("--ledger-url", help="Path or database URL, if not in --state.")
]


def scan(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    paths: Paths = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Tables of the ledger and of the audit log.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Kept answers, and all else of ours in Redis.")
    ] = False,
    logs: Annotated[
        bool, typer.Option("--logs", help="Logs, rotated ones as well, and journals.")
    ] = False,
    types: Types = None,
    without: Without = None,
    policy: PolicyFlag = None,
    ledger_url: LedgerUrl = None,
    redis: RedisFlag = None,
    as_json: AsJson = False,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Find personal data that is not masked: how much of which type, and where; never the values.
    Exit code 0: none; 1: some; 2: none, but something could not be read."""
    if not (paths or ledger or ledger_url or cache or logs):
        refuse("say where to look: a PATH, --ledger, --cache or --logs")
    own = read_own(policy)
    wanted, unwanted = read_types(types, own), read_types(without, own)
    scanner = Scanner(shipped(), own[1], wanted, unwanted)
    looking = Looking(scanner)
    layout = Layout(state.resolve())
    for path in paths or ():
        looking.at_files(path)
    if logs:
        looking.at_logs(layout)
    if ledger or ledger_url:
        looking.at_ledger(layout, ledger_url)
    if cache:
        looking.at_cache(redis or layout.counters_url)
    show(looking.report, as_json=as_json)
    raise typer.Exit(FOUND if looking.report.counts else UNREAD if looking.report.unread else 0)


class Looking:
    """One run: it goes on whatever cannot be read, and says so at the end."""

    def __init__(self, scanner: Scanner) -> None:
        self.report = Report()
        self._scanner = scanner
        self._told_s = 0.0

    def at_files(self, path: Path) -> None:
        for each in find_files(path, self.report, self._scanner):
            where = self._scanner.shown(str(each))
            try:
                self.report.add(self._scanner.scan([name_piece(each, where)]))
                for piece in read_file(each, where, self.report):
                    self.report.add(self._scanner.scan([piece]))
                    self._tell()
            except (OSError, UnreadError) as exc:
                why = exc.strerror if isinstance(exc, OSError) else str(exc)
                self.report.unread[where] = why or "cannot be read"

    def at_logs(self, layout: Layout) -> None:
        kept = (DIRECTORY, decisions.DIRECTORY)
        places = [layout.log, layout.journal, layout.alerts, *(layout.root / each for each in kept)]
        if not layout.log.is_dir():
            self.report.unread[str(layout.log)] = "no logs there"
        for place in places:
            if place.is_dir():
                self.at_files(place)

    def at_ledger(self, layout: Layout, url: str | None) -> None:
        self._at_database("ledger", lambda: open_database(url or layout.ledger))
        records = audit_place(layout.root, url)
        if isinstance(records, Path) and records.exists():
            self._at_database("audit", lambda: find_database(records, writes=False))

    def _at_database(self, name: str, open_it: Callable[[], Database]) -> None:
        try:
            with closing(open_it()) as database:
                pieces = read_database(database, self.report, self._scanner)
                self.report.add(self._scanner.scan(self._telling(pieces)))
        except (LedgerError, OSError) as exc:
            self.report.unread[name] = str(exc)

    def at_cache(self, url: str) -> None:
        try:
            asyncio.run(self._at_keys(url))
        except (CountersFaultError, OSError, ValueError) as exc:
            self.report.unread["cache"] = str(exc)

    async def _at_keys(self, url: str) -> None:
        """Raises: CountersFaultError, OSError, ValueError."""
        for each in url.split():
            async with open_line(read_url(each), PREFIX, DEADLINE_S) as line:
                async for pieces in read_keys(line, self.report, self._scanner):
                    self.report.add(self._scanner.scan(pieces))
                    self._tell()

    def _telling(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            self._tell()
            yield piece

    def _tell(self) -> None:
        """Say how far it is, where somebody watches."""
        now_s = time.monotonic()
        if now_s - self._told_s < EVERY_S or not sys.stderr.isatty():
            return
        self._told_s = now_s
        read = self.report.read
        said = f"{read['bytes'] / 1e6:,.0f} MB, {sum(self.report.counts.values()):,} found"
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        sys.stderr.write(f"\r{said[: max(0, width - 1)]}\x1b[K")
        sys.stderr.flush()


def read_own(policy: list[Path] | None) -> tuple[set[str], Own | None]:
    """Read a policy's own types, and what finds them; its secrets are not needed."""
    if not policy:
        return set(), None
    try:
        pii = load(policy).pii
    except PolicyError as exc:
        refuse(str(exc))
    return set(pii.own_types()), pii.own()


def read_types(given: str | None, own: tuple[set[str], Own | None]) -> frozenset[str]:
    named = frozenset(filter(None, (given or "").replace(" ", "").split(",")))
    if unknown := sorted(named - TYPES - own[0]):
        known = ", ".join(sorted(TYPES | own[0]))
        refuse(f"no pattern finds {unknown[0]!r}; there are {known}")
    return named


def show(report: Report, *, as_json: bool) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(document(report))).decode())
        return
    for place in report.places[:SHOWN]:
        typer.echo(f"{place.where}:{place.line}:{place.column}: {place.type}")
    found = sum(report.counts.values())
    if found > SHOWN:
        typer.echo(f"... and {found - SHOWN:,} more; --json tells {MOST_PLACES:,} of them")
    for where, why in report.unread.items():
        typer.echo(f"not read: {where}: {why}", err=True)
    typer.echo("\n".join(summary(report)))


def summary(report: Report) -> Iterator[str]:
    read = report.read
    names = [name for name in ("files", "rows", "keys") if read[name]]
    yield "looked through " + ", ".join(f"{read[name]:,} {name}" for name in [*names, "bytes"])
    if report.skipped:
        yield f"{len(report.skipped):,} files are no text and were skipped"
    counts = ", ".join(f"{count:,} {kind}" for kind, count in report.counts.most_common())
    yield f"found: {counts}" if counts else "found nothing"


def document(report: Report) -> dict[str, object]:
    return {
        "found": sum(report.counts.values()),
        "counts": dict(sorted(report.counts.items())),
        "places": report.places,
        "read": dict(report.read),
        "skipped": report.skipped,
        "unread": report.unread,
    }


def refuse(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED)
    raise typer.Exit(UNREAD)
