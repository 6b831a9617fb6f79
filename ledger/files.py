"""Tables in files: CSV and Parquet, exact, and put into place in one step."""

import csv
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, TextIO

from ledger.figures import write_decimal

Kind = Literal[
    "text", "count", "real", "flag", "usd", "millionths", "whole", "time", "date", "bytes"
]
"""What a column holds, and what stands for it here:

usd, millionths, whole   exact decimals: whole numbers of 1e-12, of 1e-6 and of 1
time                     milliseconds since the epoch
"""
Value = str | int | float | date | bytes | None

Form = Literal["csv", "parquet"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How cells begin that spreadsheets compute (OWASP, "CSV Injection")."""
DIGITS: Mapping[Kind, int] = {"usd": 12, "millionths": 6, "whole": 0}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind


class TableWriter(Protocol):
    """Writes rows behind each other."""

    def write(self, rows: Sequence[Sequence[Value]]) -> None: ...


class CsvWriter:
    """RFC 4180 but for line ends, which are those of Unix. What is unknown is an empty cell."""

    def __init__(self, out: TextIO, columns: Sequence[Column], *, guarded: bool = False) -> None:
        """`guarded`: for spreadsheets, a text that one would compute gets an apostrophe before it."""
        self._kinds: list[Kind] = [column.kind for column in columns]
        self._guarded = guarded
        self._writer = csv.writer(out, lineterminator="\n")
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        kinds = self._kinds
        self._writer.writerows(
            [self._cell(kind, value) for kind, value in zip(kinds, row, strict=True)]
            for row in rows
        )

    def _cell(self, kind: Kind, value: Value) -> str:
        if value is None:
            return ""
        text = write_value(kind, value)
        return (
            f"'{text}" if kind == "text" and self._guarded and text.startswith(_FORMULA) else text
        )


@contextmanager
def writing(
    path: Path, form: Form, columns: Sequence[Column], *, guarded: bool = False
) -> Generator[TableWriter]:
    """Write a whole table to `path`; whoever reads meanwhile sees what was there, or all of it."""
    with replacing(path) as draft:
        if form == "csv":
            with draft.open("w", encoding="utf-8", newline="") as out:
                yield CsvWriter(out, columns, guarded=guarded)
        else:
            # pyarrow and numpy take 0.1 s of CPU, and hardly any command writes Parquet.
            from ledger.parquet import ParquetWriter  # noqa: PLC0415 - see above

            table = ParquetWriter(draft, columns)
            try:
                yield table
            finally:
                table.close()


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a name to write to, which takes the place of `path` when the block is done."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def form_of(path: Path) -> Form:
    """CSV, but for names that end in .parquet."""
    return "parquet" if path.suffix == ".parquet" else "csv"


def write_value(kind: Kind, value: str | float | date | bytes) -> str:
    """Write a value as text."""
    match value:
        case bytes():
            return value.hex()
        case date():
            return value.isoformat()
        case int() if kind in DIGITS:
            return write_decimal(value, DIGITS[kind])
        case int() if kind == "time":
            precision = "milliseconds" if value % 1000 else "seconds"
            time = _EPOCH + timedelta(milliseconds=value)
            return time.isoformat(timespec=precision).replace("+00:00", "Z")
        case _ if kind == "flag":
            return "true" if value else "false"
        case _:
            return str(value)
