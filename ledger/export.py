"""Entries as files for a warehouse: a directory for each day in which they were booked.

    DIR/entries/date=2026-01-31/part-0000.parquet    Hive's layout: most readers find `date` in it
    DIR/people.parquet                               who pseudonyms stand for, if asked for
    DIR/manifest.json                                what is there: manifest.py

A run goes on where the last one stopped, writes again what is missing or was cut short, and changes
nothing else. It may be killed at any moment, and a second one at the same time waits for the first.
"""

import fcntl
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select

from ledger import steps
from ledger.database import Database
from ledger.files import Column, Form, writing
from ledger.manifest import ExportError, Head, Manifest, Part, Partition, load, save
from ledger.parts import COLUMNS, PartWriter, Range
from ledger.tables import ENTRY, SUBJECT

SETTLED_MS = 5 * 60 * 1000
"""A day is complete so long after its end: a commit that waited for a lock books at the time it was
asked to."""

ROWS = 1_000_000
"""Most in one part: some 100 MB of Parquet."""

DAY_AND_MORE_MS = 26 * 3_600_000
_PEOPLE = [Column(name, "text") for name in ("pseudonym", "tenant", "name")]

Told = Callable[[str, Part], None]
"""Is told the date and what was written, part by part."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`headgate ledger export`, understood."""

    directory: Path
    form: Form = "parquet"
    zone: tzinfo = UTC
    """Where days begin."""
    since: datetime | None = None
    """From the day on that this lies in; None: from the first."""
    until: datetime | None = None
    """Days that begin before this; None: all."""
    partial: bool = False
    """Also the day that is not over."""
    people: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def export(database: Database, options: ExportOptions, told: Told) -> Manifest:
    """Write what is not yet there, and return all that is.

    Raises: ExportError, LedgerError, OSError.
    """
    options.directory.mkdir(parents=True, exist_ok=True)
    with _alone(options.directory):
        run = _Run(database, options, told)
        run.mend()
        for begin, end in run.days():
            run.add(begin, end)
        if options.people:
            run.people()
        return run.save()


class _Run:
    """One export under way. The manifest is saved after each part."""

    def __init__(self, database: Database, options: ExportOptions, told: Told) -> None:
        known = load(options.directory) or _first(options)
        if (known.format, known.tz) != (options.form, str(options.zone)):
            raise ExportError(
                f"{options.directory} holds days of {known.tz} as {known.format}; "
                "go on like that, or take another directory"
            )
        self._known = known
        self._partitions = dict(known.partitions)
        self._chains = dict(known.chains)
        self._database = database
        self._options = options
        self._told = told
        self._writer = PartWriter(options.directory, options.form, options.zone)

    def save(self) -> Manifest:
        manifest = msgspec.structs.replace(
            self._known, partitions=self._partitions, chains=self._chains
        )
        save(self._options.directory, manifest)
        return manifest

    def mend(self) -> None:
        """Write parts again that are missing or cut short."""
        for day, partition in list(self._partitions.items()):
            for place, part in enumerate(partition.parts):
                path = self._options.directory / part.file
                if path.is_file() and path.stat().st_size == part.bytes:
                    continue
                again, _ = self._write(part.file, Range(part.first_seq, part.last_seq))
                if again.rows != part.rows:
                    path.unlink()
                    raise ExportError(
                        f"{part.file} is missing, and its entries are no longer in the ledger"
                    )
                self._place(day, place, again)

    def days(self) -> Sequence[tuple[int, int]]:
        """List the days that are wanted and of which there may be something."""
        options = self._options
        with self._database.transaction() as connection:
            first = connection.execute(select(func.min(ENTRY.c.booked_ms))).scalar_one()
            last = connection.execute(select(func.max(ENTRY.c.booked_ms))).scalar_one()
        if first is None or last is None:
            return []
        since = first if options.since is None else max(first, steps.to_ms(options.since))
        if since > last:
            return []
        begins = steps.begins("day", since, last + 1, options.zone)
        after = steps.begins("day", begins[-1], begins[-1] + DAY_AND_MORE_MS, options.zone)[1]
        until = after if options.until is None else steps.to_ms(options.until)
        return [(begin, end) for begin, end in pairwise([*begins, after]) if begin < until]

    def add(self, begin_ms: int, end_ms: int) -> None:
        """Write what was booked in a day and is not written yet."""
        complete = steps.to_ms(self._options.now) >= end_ms + SETTLED_MS
        if not complete and not self._options.partial:
            return
        day = steps.write("day", begin_ms, self._options.zone)
        known = self._partitions.get(day, Partition(complete=False))
        with self._database.transaction() as connection:
            wanted = _entries(connection, begin_ms, end_ms)
        for place, each in enumerate(_pieces(wanted, known.last_seq), start=len(known.parts)):
            part, heads = self._write(f"entries/date={day}/part-{place:04}.{self._form}", each)
            self._chains.update(heads)
            self._place(day, place, part)
        if complete and day in self._partitions:
            self._partitions[day] = msgspec.structs.replace(self._partitions[day], complete=True)

    def people(self) -> None:
        """Write who pseudonyms stand for now. Whoever was erased since the last time is gone."""
        query = select(SUBJECT.c.pseudonym, SUBJECT.c.tenant, SUBJECT.c.name)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(SUBJECT.c.pseudonym))
            found = [tuple(row) for row in rows]
        path = self._options.directory / f"people.{self._form}"
        with writing(path, self._form, _PEOPLE) as table:
            if found:
                table.write(found)

    @property
    def _form(self) -> Form:
        return self._options.form

    def _write(self, file: str, wanted: Range) -> tuple[Part, dict[str, Head]]:
        with self._database.transaction() as connection:
            return self._writer.write(connection, file, wanted)

    def _place(self, day: str, place: int, part: Part) -> None:
        parts = self._partitions.get(day, Partition(complete=False)).parts
        complete = day in self._partitions and self._partitions[day].complete
        self._partitions[day] = Partition(complete, (*parts[:place], part, *parts[place + 1 :]))
        self.save()
        self._told(day, part)


def _first(options: ExportOptions) -> Manifest:
    return Manifest(options.form, str(options.zone), tuple(column.name for column in COLUMNS))


def _entries(connection: Connection, begin_ms: int, end_ms: int) -> Range | None:
    """Find the entries that were booked in a day: time of booking ascends with `seq`."""
    booked, seq = ENTRY.c.booked_ms, ENTRY.c.seq
    within = select(seq).where(booked >= begin_ms, booked < end_ms).limit(1)
    first = connection.execute(within.order_by(booked, seq)).scalar_one_or_none()
    last = connection.execute(within.order_by(booked.desc(), seq.desc())).scalar_one_or_none()
    return None if first is None or last is None else Range(first, last)


def _pieces(wanted: Range | None, last_seq: int) -> Iterator[Range]:
    """Cut what is behind `last_seq` into parts."""
    if wanted is not None:
        for first in range(max(wanted.first, last_seq + 1), wanted.last + 1, ROWS):
            yield Range(first, min(first + ROWS - 1, wanted.last))


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Wait for another export into the same directory."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
