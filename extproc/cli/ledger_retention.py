"""`headgate ledger`: trim, erase."""

import getpass
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from extproc.cli.auditing import recording
from extproc.cli.layout import Layout
from extproc.cli.ledger import DEFAULT_STATE, AsJson, LedgerFlag, StateFlag, leave, tell_part
from ledger import erasure
from ledger.archiving import archive
from ledger.chain import chain_of
from ledger.config import ConfigFile
from ledger.database import Database, open_database
from ledger.figures import write_usd
from ledger.finished import read_offsets
from ledger.manifest import ExportError
from ledger.question import UsageError, parse_time
from ledger.retaining import Outcome, Retainer
from ledger.retention import LEAST_AGE_MS, Cutoffs, cutoffs
from ledger.scrub import Scrubbed, scrub
from ledger.signing import PRIVATE_NAME, load_signer
from ledger.store import LedgerError
from ledger.traces import Trace, find_traces
from ledger.trim import Deleted

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
FAILED = 1


def trim(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    before: Annotated[
        str | None,
        typer.Option(
            help="Whatever the policy says: what was booked before 2026-01-31, or 90d ago."
        ),
    ] = None,
    archive_to: Annotated[
        Path | None,
        typer.Option("--archive", help="Export there first, and delete nothing that is not there."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Delete entries that were kept long enough: those of the policy's `ledger.retention`, or older
    than --before. Sums stay, and `headgate ledger verify` goes on to prove them and the rest."""
    try:
        limits = _limits(before, Layout(state))
        with ExitStack() as stack:
            retainer = _retainer(stack, ledger, Layout(state))
            if dry_run:
                todo, waits_for = retainer.plan(limits)
                outcome = Outcome(retainer.look(todo), waits_for=waits_for)
            else:
                if before is not None and not yes:
                    typer.confirm(f"Delete all entries from before {before}?", abort=True)
                with recording(state) as record:
                    outcome = _delete(retainer, limits, archive_to)
                    record.tell("ledger.trimmed", "ledger", entries=outcome.entries)
    except (UsageError, ExportError, LedgerError, OSError) as exc:
        leave(str(exc), FAILED)
    if as_json:
        _show_json(outcome, dry_run=dry_run)
    else:
        typer.echo("\n".join(_tell(outcome, dry_run=dry_run)))


def erase(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    tenant: Annotated[str, typer.Option(help="Whose user; '' for requests of nobody known.")],
    user: Annotated[str, typer.Option(help="The name, as in `headgate usage --by user`.")],
    by: Annotated[
        str | None, typer.Option(help="Who asks, for the record. Default: your login.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Forget a person. Sums and proof stay, and are about nobody any more."""
    if not yes:
        typer.confirm(f"Forget who {user} of {tenant} is, for good?", abort=True)
    try:
        with (
            closing(open_database(ledger or Layout(state).ledger, writes=True)) as database,
            recording(state) as record,
        ):
            person = (chain_of(tenant), user)
            done = _erase(database, Layout(state), person, by or getpass.getuser())
            # Not the name: it would be what is left of that person.
            record.tell("ledger.erased", done.pseudonym or "nobody known", tenant, by=by or "")
    except (LedgerError, OSError, ValueError) as exc:
        leave(str(exc), FAILED)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(done)).decode())
    else:
        typer.echo("\n".join(_tell_erased(done)))
    raise typer.Exit(0 if done.pseudonym or done.scrubbed else FAILED)


class Erased(msgspec.Struct, frozen=True):
    """What was done, and what is left to do."""

    pseudonym: str | None
    """None: nobody of that name was known."""
    wiped: bool
    """Whether no file of the database holds the name any more."""
    running: int
    """Requests that have not ended and will bring the name back."""
    scrubbed: list[Scrubbed]
    traces: list[Trace]


def _erase(database: Database, layout: Layout, person: tuple[str, str], by: str) -> Erased:
    erased = erasure.erase(database, person, by, round(time.time() * 1000))
    erasure.keep_file(database, layout.root / erasure.FILE_NAME)
    wiped = erasure.wipe(database)
    running = erasure.count_running(database, person)
    with database.transaction() as connection:
        offsets = read_offsets(connection)
    scrubbed = list(scrub(layout.access_log, offsets, person))
    traces = list(find_traces(layout.root, person[1]))
    pseudonym = None if erased is None else erased.pseudonym
    return Erased(pseudonym, wiped, running, scrubbed, traces)


def _tell_erased(done: Erased) -> Iterator[str]:
    if done.pseudonym:
        yield f"{done.pseudonym} stands for nobody any more."
    else:
        yield "The ledger knows nobody of that name."
    for each in done.scrubbed:
        left = f"; in {each.unread:,} it still stands, for they are not settled yet" * bool(
            each.unread
        )
        yield f"{each.file}: taken out of {each.lines:,} lines{left}"
    if not done.wiped:
        yield "The name may stand in the write-ahead log of the database for a while: run this again."
    if done.running:
        yield f"{done.running:,} requests of this user still run: run this again when they have ended."
    for trace in done.traces:
        yield f"{trace.file}: {trace.times:,} times; gone {trace.gone}"
    yield "Backups and exports that were made before know the name as long as you keep them."


def _limits(before: str | None, layout: Layout) -> Cutoffs:
    now = datetime.now(UTC)
    now_ms = round(now.timestamp() * 1000)
    if before is not None:
        before_ms = round(parse_time(before, now).timestamp() * 1000)
        if before_ms > now_ms - LEAST_AGE_MS:
            raise UsageError("entries stay for a day at least: their last word may not be said")
        return Cutoffs(before_ms)
    if not layout.settle_config.exists():
        raise UsageError(f"no policy is in force in {layout.root}; say --before")
    return cutoffs(ConfigFile(layout.settle_config).current().retention, now_ms)


def _retainer(stack: ExitStack, ledger: str | None, layout: Layout) -> Retainer:
    """Raises LedgerError when there is no key: nobody could prove what was deleted."""
    if not (layout.root / PRIVATE_NAME).exists():
        raise LedgerError(
            f"{layout.root} has no {PRIVATE_NAME}, and what is deleted must be signed for"
        )
    where = ledger or layout.ledger
    return Retainer(
        stack.enter_context(closing(open_database(where))),
        stack.enter_context(closing(open_database(where, writes=True))),
        load_signer(layout.root),
        layout.access_log,
    )


def _delete(retainer: Retainer, limits: Cutoffs, directory: Path | None) -> Outcome:
    if directory is None or not limits.latest_ms:
        return retainer.run(limits)
    archived = archive(retainer.reader, directory, limits.latest_ms, "parquet", tell_part)
    return retainer.run(limits, archived)


@dataclass(frozen=True, slots=True)
class _Line:
    """One chain, to be told."""

    chain: str
    deleted: Deleted

    def facts(self) -> dict[str, str | int]:
        sums = self.deleted.sums
        cost = sums.uncached_pusd + sums.cached_pusd + sums.completion_pusd
        return {
            "tenant": self.chain,
            "entries": self.deleted.entries,
            "requests": sums.requests,
            "prompt_tokens": sums.prompt_tokens,
            "completion_tokens": sums.completion_tokens,
            "cached_tokens": sums.cached_tokens,
            "cost_usd": write_usd(cost),
        }


def _lines(outcome: Outcome) -> list[_Line]:
    return [_Line(chain, deleted) for chain, deleted in sorted(outcome.deleted.items())]


def _show_json(outcome: Outcome, *, dry_run: bool) -> None:
    document = {
        "dry_run": dry_run,
        "tenants": [line.facts() for line in _lines(outcome)],
        "people": outcome.people,
        "logs": [path.name for path in outcome.logs],
        "waits_for": outcome.waits_for and outcome.waits_for.name,
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def _tell(outcome: Outcome, *, dry_run: bool) -> Iterator[str]:
    for line in _lines(outcome):
        facts = line.facts()
        yield (
            f"{facts['tenant'] or '(nobody known)'}: {facts['entries']:,} entries, "
            f"{facts['requests']:,} requests, {facts['prompt_tokens']:,} + "
            f"{facts['completion_tokens']:,} tokens, {facts['cost_usd']} USD"
        )
    if outcome.waits_for is not None:
        yield f"{outcome.waits_for.name} goes back further: what it tells of stays until it is gone"
    yield from (f"{path.name}: deleted" for path in outcome.logs)
    if dry_run:
        yield f"{outcome.entries:,} entries would be deleted"
    else:
        people = f", and {outcome.people:,} names" * bool(outcome.people)
        yield f"{outcome.entries:,} entries deleted{people}; their sums stay"
