import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet

from ledger import export as module
from ledger import subjects
from ledger.database import open_database
from ledger.export import ExportOptions, export
from ledger.manifest import ExportError, fingerprint, load
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.trim import trim
from tests.ledger import books, naive

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Books:
    """A ledger, and a directory to export it to."""

    def __init__(self, where, directory):
        self.where = where
        self.directory = directory
        self.told = []

    def book(self, time, *rows):
        ledger = open_ledger(self.where)
        keys = [row.settle_key for row in rows]
        ledger.commit(Change(rows=rows, replaced=ledger.rows(keys), booked_ms=naive.ms(time)))
        ledger.close()

    def export(self, **options):
        options = ExportOptions(**{"directory": self.directory, "now": NOON, **options})
        database = open_database(self.where)
        self.told.clear()
        try:
            return export(database, options, lambda day, part: self.told.append((day, part.rows)))
        finally:
            database.close()

    def files(self):
        return {
            str(path.relative_to(self.directory)): fingerprint(path)
            for path in self.directory.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }

    def rows(self):
        return [
            row
            for path in sorted(self.directory.rglob("part-*.parquet"))
            for row in parquet.ParquetFile(path).read().to_pylist()
        ]


def row(key, time=NOON, **members):
    usual = {"tenant": "acme", "user": "alice", "prompt_tokens": 10, "uncached_pusd": 5}
    return Row(settle_key=key, start_ms=naive.ms(time), **{**usual, **members})


@pytest.fixture
def ledger(where, tmp_path):
    """Two on the 29th, one on the 30th that corrects, two today."""
    ledger = Books(where, tmp_path / "warehouse")
    ledger.book(NOON - 2 * DAY, row("a", NOON - 2 * DAY), row("b", NOON - 2 * DAY))
    ledger.book(NOON - DAY, row("a", NOON - 2 * DAY, prompt_tokens=20))
    ledger.book(NOON - timedelta(hours=1), row("c", NOON - DAY), row("d"))
    return ledger


def test_days_that_are_over(ledger):
    manifest = ledger.export()
    assert list(manifest.partitions) == ["2026-01-29", "2026-01-30"]
    assert all(partition.complete for partition in manifest.partitions.values())
    assert ledger.told == [("2026-01-29", 2), ("2026-01-30", 2)]
    assert manifest == load(ledger.directory)
    assert set(ledger.files()) == {
        "manifest.json",
        "entries/date=2026-01-29/part-0000.parquet",
        "entries/date=2026-01-30/part-0000.parquet",
    }


def test_a_correction_is_in_the_day_it_was_booked_and_says_whose_day_it_changes(ledger):
    manifest = ledger.export()
    (part,) = manifest.partitions["2026-01-30"].parts
    assert part.usage_dates == {"2026-01-29": 2}
    assert (part.requests, part.prompt_tokens) == (0, 10)
    found = [(r["revision"], r["requests"], r["prompt_tokens"]) for r in ledger.rows()[2:]]
    assert found == [(1, -1, -10), (2, 1, 20)]


def test_again_changes_nothing(ledger):
    ledger.export()
    before = ledger.files()
    ledger.export()
    assert ledger.told == []
    assert ledger.files() == before


def test_a_day_that_is_not_over_grows_by_parts(ledger):
    manifest = ledger.export(partial=True)
    assert not manifest.partitions["2026-01-31"].complete
    ledger.book(NOON, row("e"))
    before = ledger.files()
    manifest = ledger.export(partial=True, now=NOON + DAY)
    assert ledger.told == [("2026-01-31", 1)]
    assert [part.rows for part in manifest.partitions["2026-01-31"].parts] == [2, 1]
    assert manifest.partitions["2026-01-31"].complete
    after = ledger.files()
    assert {name: after[name] for name in before if "part" in name} == {
        name: mark for name, mark in before.items() if "part" in name
    }


def test_all_of_it_is_the_ledger(ledger):
    manifest = ledger.export(partial=True)
    entries = [books.named(entry) for entry in books.entries(ledger.where)]
    assert [found["seq"] for found in ledger.rows()] == [entry["seq"] for entry in entries]
    parts = [part for partition in manifest.partitions.values() for part in partition.parts]
    assert sum(part.prompt_tokens for part in parts) == sum(e["prompt_tokens"] for e in entries)
    last = entries[-1]
    assert manifest.chains["acme"].hash == bytes(last["hash"]).hex()


def test_a_period(ledger):
    assert list(ledger.export(since=NOON - DAY).partitions) == ["2026-01-30"]
    assert sorted(ledger.export(until=NOON - 2 * DAY).partitions) == ["2026-01-29", "2026-01-30"]


def test_days_of_a_zone(ledger):
    chatham = ZoneInfo("Pacific/Chatham")
    assert list(ledger.export(zone=chatham, partial=True).partitions) == [
        "2026-01-30", "2026-01-31", "2026-02-01",
    ]  # fmt: skip


def test_another_form_or_zone_belongs_elsewhere(ledger):
    ledger.export()
    for other in ({"form": "csv"}, {"zone": ZoneInfo("Europe/Berlin")}):
        with pytest.raises(ExportError, match="take another directory"):
            ledger.export(**other)


def test_what_is_missing_or_cut_short_is_written_again(ledger):
    ledger.export()
    before = ledger.files()
    gone, cut = sorted(ledger.directory.rglob("part-*"))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    ledger.export()
    assert ledger.files() == before


def test_what_retention_deleted_cannot_be_written_again(ledger):
    ledger.export()
    database = open_database(ledger.where, writes=True)
    with database.transaction() as connection:
        trim(connection, {"acme": 2})
    database.close()
    ledger.export()
    min(ledger.directory.rglob("part-*")).unlink()
    with pytest.raises(ExportError, match="no longer in the ledger"):
        ledger.export()


def test_a_run_that_was_killed_between_part_and_manifest(ledger):
    ledger.export()
    before = ledger.files()
    (ledger.directory / "manifest.json").unlink()
    ledger.export()
    assert ledger.files() == before


def test_parts_have_a_size():
    pieces = list(module._pieces(module.Range(3, module.ROWS * 2 + 5), 0))
    assert [(each.first, each.last) for each in pieces] == [
        (3, module.ROWS + 2), (module.ROWS + 3, 2 * module.ROWS + 2),
        (2 * module.ROWS + 3, 2 * module.ROWS + 5),
    ]  # fmt: skip


def test_people_are_those_who_are_known_now(ledger):
    ledger.export(people=True)
    path = ledger.directory / "people.parquet"
    (found,) = parquet.read_table(path).to_pylist()
    assert (found["tenant"], found["name"]) == ("acme", "alice")
    assert found["pseudonym"] == ledger.rows()[0]["user"]
    database = open_database(ledger.where, writes=True)
    with database.transaction() as connection:
        subjects.erase(connection, "acme", "alice")
    database.close()
    ledger.export(people=True)
    assert parquet.read_table(path).num_rows == 0


def test_an_empty_ledger(where, tmp_path):
    open_ledger(where).close()
    assert Books(where, tmp_path / "warehouse").export().partitions == {}


def test_two_at_the_same_time(ledger):
    runs = [threading.Thread(target=ledger.export) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(30)
    assert len(ledger.rows()) == 4
    assert (
        sum(part.rows for p in load(ledger.directory).partitions.values() for part in p.parts) == 4
    )
