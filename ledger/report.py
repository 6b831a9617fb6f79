"""Usage as people and programs want to see it: a table, JSON or CSV."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from ledger.usage import UsageError, UsageRow, check_dimensions, parse_time, usage

Form = Literal["table", "json", "csv"]

_NUMBERS = tuple(f.name for f in fields(UsageRow) if f.name != "group")
_WIDEST = 10_000
_HEADINGS = (
    "requests", "prompt", "completion", "cached", "denied", "unsettled", "TTFT p50", "p95 (ms)",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UsageOptions:
    """`headgate usage`, parsed. Texts are as typed."""

    ledger: Path
    by: str = "tenant,model"
    """Dimensions, separated by commas."""
    since: str = "24h"
    until: str | None = None
    form: Form = "table"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Usage:
    """An answer with its question."""

    by: tuple[str, ...]
    since: datetime
    until: datetime
    rows: Sequence[UsageRow]


def report_usage(options: UsageOptions, out: TextIO) -> None:
    """Answer `options` on `out`.

    Raises UsageError for a question that makes no sense and LedgerError when there is no ledger;
    both messages are meant for the person who asked.
    """
    by = tuple(name.strip() for name in options.by.split(",") if name.strip())
    check_dimensions(by)
    since = parse_time(options.since, options.now)
    until = options.now if options.until is None else parse_time(options.until, options.now)
    if since >= until:
        raise UsageError(f"nothing lies between {_iso(since)} and {_iso(until)}")
    rows = usage(options.ledger, by, since, until)
    _FORMS[options.form](Usage(by, since, until, rows), out)


def write_json(answer: Usage, out: TextIO) -> None:
    document = {
        "since": _iso(answer.since),
        "until": _iso(answer.until),
        "by": answer.by,
        "rows": [_record(answer.by, row) for row in answer.rows],
    }
    out.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")


def write_csv(answer: Usage, out: TextIO) -> None:
    writer = csv.DictWriter(out, [*answer.by, *_NUMBERS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(answer.by, row) for row in answer.rows)


def write_table(answer: Usage, out: TextIO) -> None:
    """Draw a table, in plain text when `out` is no terminal. No number is ever cut short: what is
    wider than the terminal wraps."""
    if not answer.rows:
        out.write(f"no requests between {_iso(answer.since)} and {_iso(answer.until)}\n")
        return
    terminal = out.isatty()
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_footer=True)
    totals = _totals(answer.rows)
    for place, name in enumerate(answer.by):
        table.add_column(name, footer="" if place else "total", overflow="fold")
    for heading, total in zip(_HEADINGS, totals, strict=True):
        table.add_column(heading, footer=total, justify="right", no_wrap=True)
    for row in answer.rows:
        group = ("-" if value is None else value for value in row.group)
        table.add_row(*group, *_cells(row))
    width = Console(file=out, width=_WIDEST).measure(table).maximum
    if terminal:
        width = max(width, Console(file=out).width)
    Console(file=out, width=width, markup=False, highlight=False).print(table, crop=False)


_FORMS: Mapping[Form, Callable[[Usage, TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
}


def _record(by: Sequence[str], row: UsageRow) -> dict[str, str | int | float | None]:
    numbers = asdict(row)
    return {**dict(zip(by, row.group, strict=True)), **{name: numbers[name] for name in _NUMBERS}}


def _cells(row: UsageRow) -> list[str]:
    return [
        *(f"{count:,}" for count in _counts(row)),
        _ms(row.ttft_p50_ms),
        _ms(row.ttft_p95_ms),
    ]


def _totals(rows: Sequence[UsageRow]) -> list[str]:
    """Add up the counts; percentiles do not add up."""
    columns = zip(*(_counts(row) for row in rows), strict=True)
    return [*(f"{sum(column):,}" for column in columns), "", ""]


def _counts(row: UsageRow) -> tuple[int, ...]:
    return (
        row.requests,
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.denied,
        row.unsettled,
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
