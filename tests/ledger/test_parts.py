import csv
import io
from datetime import UTC
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet

from ledger.manifest import Head, fingerprint
from ledger.parts import COLUMNS, PartWriter, Range
from ledger.sql import open_ledger
from ledger.steps import from_ms
from ledger.store import Change
from tests.ledger import books, naive


@pytest.fixture
def ledger(where):
    """Thirty requests, and five corrections: forty entries."""
    ledger = open_ledger(where)
    ledger.commit(Change(rows=naive.make_rows(30), booked_ms=naive.ms(naive.BEGIN)))
    for row in naive.make_rows(5, seed=9):
        before = ledger.rows([row.settle_key])
        ledger.commit(Change(rows=[row], replaced=before, booked_ms=naive.ms(naive.BEGIN) + 1))
    ledger.close()
    return where


def write(where, directory, form, wanted, zone=UTC):
    with books.reading(where) as connection:
        return PartWriter(directory, form, zone).write(connection, f"d/part.{form}", wanted)


def test_columns():
    names = [column.name for column in COLUMNS]
    assert names[:6] == ["usage_date", "seq", "settle_key", "revision", "requests", "booked_at"]
    assert {"started_at", "uncached_usd", "own_usd", "hash"} <= set(names)
    assert not any(name.endswith(("_pusd", "_ms")) for name in names)


def test_entries_as_they_are(ledger, tmp_path):
    part, heads = write(ledger, tmp_path, "parquet", Range(1, 40))
    entries = [books.named(entry) for entry in books.entries(ledger)]
    found = parquet.read_table(tmp_path / "d" / "part.parquet").to_pylist()
    assert len(found) == part.rows == len(entries) == 40
    for row, entry in zip(found, entries, strict=True):
        for name in ("seq", "settle_key", "revision", "requests", "user", "prompt_tokens", "cut"):
            assert row[name] == entry[name]
        for name in ("uncached", "own"):
            pusd = entry[f"{name}_pusd"]
            assert row[f"{name}_usd"] == (None if pusd is None else Decimal(pusd).scaleb(-12))
        assert naive.ms(row["started_at"]) == entry["start_ms"]
        assert row["usage_date"] == row["started_at"].date()
        assert row["hash"] == bytes(entry["hash"])
    last = {entry["tenant"] or "": entry for entry in entries}
    assert heads == {c: Head(e["chain_seq"], bytes(e["hash"]).hex()) for c, e in last.items()}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_the_manifest_says(ledger, tmp_path, form):
    part, _ = write(ledger, tmp_path, form, Range(5, 34))
    entries = [books.named(entry) for entry in books.entries(ledger)][4:34]
    assert (part.file, part.first_seq, part.last_seq) == (f"d/part.{form}", 5, 34)
    assert (part.bytes, part.sha256) == fingerprint(tmp_path / part.file)
    for name in ("requests", "prompt_tokens", "completion_tokens", "cached_tokens"):
        assert getattr(part, name) == sum(entry[name] or 0 for entry in entries)
    money = ("uncached_pusd", "cached_pusd", "completion_pusd")
    pusd = sum(entry[name] or 0 for entry in entries for name in money)
    assert Decimal(part.cost_usd) == Decimal(pusd).scaleb(-12)
    assert sum(part.usage_dates.values()) == part.rows == 30


def test_csv_says_what_parquet_says(ledger, tmp_path):
    write(ledger, tmp_path, "csv", Range(1, 40))
    text = (tmp_path / "d" / "part.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    entries = [books.named(entry) for entry in books.entries(ledger)]
    for row, entry in zip(rows, entries, strict=True):
        assert row["settle_key"] == entry["settle_key"]
        assert row["hash"] == bytes(entry["hash"]).hex()
        assert row["requests"] == str(entry["requests"])
        assert "E" not in row["uncached_usd"]


def test_days_are_those_of_the_zone(ledger, tmp_path):
    part, _ = write(ledger, tmp_path, "csv", Range(1, 40), ZoneInfo("Pacific/Chatham"))
    zone = ZoneInfo("Pacific/Chatham")
    entries = [books.named(entry) for entry in books.entries(ledger)]
    days = {from_ms(entry["start_ms"], zone).date().isoformat() for entry in entries}
    assert part.usage_dates.keys() == days
