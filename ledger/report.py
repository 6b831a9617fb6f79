"""Usage as people and programs want to see it: a table, JSON, CSV, Parquet, FOCUS."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TextIO

import msgspec
from sqlalchemy import Connection

from ledger.charges import BASE, LONGEST_AFTER_MS, Bill, charges
from ledger.database import open_database
from ledger.files import CsvWriter, form_of, writing
from ledger.focus import COLUMNS, rows
from ledger.question import (
    STEPS,
    Order,
    Question,
    Step,
    UsageError,
    parse_by,
    parse_time,
    parse_where,
    parse_zone,
)
from ledger.records import cells, columns, record, total, write_time
from ledger.steps import begins, to_ms
from ledger.table import write_table
from ledger.usage import Answer, ask

Form = Literal["table", "json", "csv"]


@dataclass(frozen=True, slots=True)
class UsageOptions:
    """`headgate usage`, parsed. Texts are as typed."""

    ledger: str | Path
    """A path or a database URL."""
    by: str = "tenant,model"
    """Dimensions, separated by commas."""
    since: str = "24h"
    until: str | None = None
    where: tuple[str, ...] = ()
    top: int | None = None
    order: Order = "tokens"
    step: Step | None = None
    zone: str = "UTC"
    compare: bool = False
    form: Form = "table"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def report_usage(options: UsageOptions, out: TextIO) -> None:
    """Answer `options` on `out`.

    Raises UsageError for a question that makes no sense and LedgerError when there is no ledger;
    both messages are meant for the person who asked.
    """
    answer = answer_of(options)
    _FORMS[options.form](answer, out)


def answer_of(options: UsageOptions) -> Answer:
    """Raises: UsageError, LedgerError."""
    question = question_of(options)
    with reading(options) as connection:
        return ask(connection, question)


def save_parquet(options: UsageOptions, path: Path) -> int:
    """Answer `options` in a file; say in how many rows. Raises: UsageError, LedgerError, OSError."""
    answer = answer_of(options)
    with writing(path, "parquet", columns(answer.question)) as table:
        if answer.rows:
            table.write([cells(answer.question, row) for row in answer.rows])
    return len(answer.rows)


def save_focus(options: UsageOptions, path: Path, provider: str, billed_after: timedelta) -> int:
    """Write charges as FOCUS has them, as CSV or, when `path` ends so, as Parquet; say how many rows.

    Charges are told apart by whatever else is in `by`, and by day unless `step` says hour.
    Raises: UsageError, LedgerError, OSError.
    """
    bill = bill_of(options, billed_after)
    with reading(options) as connection:
        found = [row for each in charges(connection, bill) for row in rows(each, provider)]
    with writing(path, form_of(path), COLUMNS, guarded=True) as table:
        if found:
            table.write(found)
    return len(found)


def bill_of(options: UsageOptions, billed_after: timedelta) -> Bill:
    """Understand which charges are wanted: those of whole days or hours. Raises UsageError."""
    question = question_of(replace(options, step=None, top=None, compare=False))
    step = options.step or "day"
    if step not in ("hour", "day"):
        raise UsageError("charges are by hour or by day")
    if "group" in question.by:
        raise UsageError("a request of several groups would be charged several times")
    if not timedelta() <= billed_after <= timedelta(milliseconds=LONGEST_AFTER_MS):
        raise UsageError("a month's bill is written within 27 days of its end")
    since_ms, until_ms = (
        begins(step, ms, ms + 1, question.zone)[0]
        for ms in (to_ms(time) for time in (question.since, question.until) if time is not None)
    )
    if since_ms >= until_ms:
        raise UsageError(f"there is no whole {step} between --since and --until")
    return Bill(
        since_ms,
        until_ms,
        step,
        question.zone,
        [name for name in question.dimensions if name not in BASE],
        question.where,
        billed_after // timedelta(milliseconds=1),
    )


@contextmanager
def reading(options: UsageOptions) -> Generator[Connection]:
    """Raises LedgerError."""
    database = open_database(options.ledger)
    try:
        with database.transaction() as connection:
            yield connection
    finally:
        database.close()


def question_of(options: UsageOptions) -> Question:
    """Understand what was typed. Raises UsageError."""
    by = parse_by(options.by)
    if options.step is not None:
        if any(name in STEPS for name in by):
            raise UsageError("say the step of time once: in --by, or as --step for a row of each")
        by = (options.step, *by)
    zone = parse_zone(options.zone)
    since = parse_time(options.since, options.now, zone)
    until = options.now if options.until is None else parse_time(options.until, options.now, zone)
    return Question(
        by=by,
        since=since,
        until=until,
        where=parse_where(options.where),
        top=options.top,
        order=options.order,
        zone=zone,
        fill=options.step is not None,
        compare=options.compare,
    )


def write_json(answer: Answer, out: TextIO) -> None:
    question = answer.question
    document = {
        "since": write_time(answer.since),
        "until": write_time(answer.until),
        "tz": str(question.zone),
        "by": question.by,
        "rows": [record(question, row) for row in answer.rows],
        "total": total(answer.total, answer.before),
    }
    out.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")


def write_csv(answer: Answer, out: TextIO) -> None:
    table = CsvWriter(out, columns(answer.question), guarded=True)
    table.write([cells(answer.question, row) for row in answer.rows])


_FORMS: Mapping[Form, Callable[[Answer, TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
}
