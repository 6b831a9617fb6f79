"""Entries in a file: what its columns are, and what is said of it in the manifest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, Text, select

from ledger.chain import chain_of
from ledger.figures import write_usd
from ledger.files import Column, Form, Kind, Value, writing
from ledger.manifest import Head, Part, fingerprint
from ledger.steps import from_ms
from ledger.tables import COSTS, ENTRY, QUARTER_MS

AT_ONCE = 20_000
"""Rows in memory, and in a row group of Parquet."""

_TIMES = {"start_ms": "started_at", "booked_ms": "booked_at"}
_NAMES = [str(column.name) for column in ENTRY.c]  # they are subclasses of str
_PLACES = {name: place for place, name in enumerate(_NAMES)}
_COSTS = [_PLACES[name] for name in COSTS]
_SUMMED = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens")


def _column(name: str) -> Column:
    if name in _TIMES:
        return Column(_TIMES[name], "time")
    if name.endswith("_pusd"):
        return Column(name.replace("_pusd", "_usd"), "usd")
    stored = ENTRY.c[name].type
    kind: Kind = "text" if isinstance(stored, Text) else "count"
    return Column(name, "bytes" if isinstance(stored, LargeBinary) else kind)


COLUMNS = (Column("usage_date", "date"), *map(_column, _NAMES))
"""Those of the ledger, but for times and money, behind the day on which the request arrived."""


@dataclass(slots=True)
class _Count:
    """What is said of rows that were written."""

    sums: Counter[str] = field(default_factory=Counter[str])
    usage_dates: Counter[str] = field(default_factory=Counter[str])
    chains: dict[str, Head] = field(default_factory=dict[str, Head])

    def add(self, row: Sequence[Any], usage_date: date) -> None:
        self.sums["rows"] += 1
        for name in _SUMMED:
            self.sums[name] += row[_PLACES[name]] or 0
        self.sums["pusd"] += sum(row[place] or 0 for place in _COSTS)
        self.usage_dates[usage_date.isoformat()] += 1
        head = Head(row[_PLACES["chain_seq"]], row[_PLACES["hash"]].hex())
        self.chains[chain_of(row[_PLACES["tenant"]])] = head


@dataclass(frozen=True, slots=True)
class Range:
    """Entries from `first` to `last`, both inclusive, by `seq`."""

    first: int
    last: int


class PartWriter:
    """Writes parts below one directory."""

    def __init__(self, directory: Path, form: Form, zone: tzinfo) -> None:
        self._directory = directory
        self._form: Form = form
        self._zone = zone

    def write(
        self, connection: Connection, file: str, wanted: Range
    ) -> tuple[Part, dict[str, Head]]:
        """Write a part, 30 us for each entry, and tell how far it brings each chain.

        Raises: OSError.
        """
        path = self._directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        count = _Count()
        query = select(ENTRY).where(ENTRY.c.seq.between(wanted.first, wanted.last))
        found = connection.execute(
            query.order_by(ENTRY.c.seq), execution_options={"yield_per": AT_ONCE}
        )
        dates: dict[int, date] = {}
        with writing(path, self._form, COLUMNS) as table:
            for some in found.partitions():
                table.write([self._row(row, count, dates) for row in some])
        sums = count.sums
        size, sha256 = fingerprint(path)
        part = Part(
            file,
            sums["rows"],
            size,
            sha256,
            wanted.first,
            wanted.last,
            **{name: sums[name] for name in _SUMMED},
            cost_usd=write_usd(sums["pusd"]),
            usage_dates=dict(sorted(count.usage_dates.items())),
        )
        return part, count.chains

    def _row(self, row: Sequence[Any], count: _Count, dates: dict[int, date]) -> list[Value]:
        start_ms = row[_PLACES["start_ms"]]
        quarter = start_ms // QUARTER_MS
        usage_date = dates.get(quarter)
        if usage_date is None:
            usage_date = dates[quarter] = from_ms(start_ms, self._zone).date()
        count.add(row, usage_date)
        return [usage_date, *row]
