"""Nothing is deleted that is not in the archive, whole."""

from datetime import UTC, datetime

import pytest

from ledger.archiving import archive, archived_until
from ledger.manifest import ExportError, load
from ledger.retention import Cutoffs
from tests.ledger import books
from tests.ledger.archive import DAY_MS, Archive


@pytest.fixture
def ledger(where, tmp_path):
    ledger = Archive(where, tmp_path)
    for day in range(5):
        ledger.book(f"a{day}", f"b{day}", days=1)
        ledger.book(f"c{day}", tenant="globex")
    ledger.sign()
    yield ledger
    ledger.close()


def put(ledger, before_ms, form="csv"):
    told = []
    directory = ledger.state / "archive"
    until = archive(ledger.reader, directory, before_ms, form, lambda day, _: told.append(day))
    return until, told


def test_days_are_exported_before_they_go(ledger):
    limits = Cutoffs(ledger.now_ms - 2 * DAY_MS)
    until, told = put(ledger, limits.latest_ms)
    first = datetime.fromtimestamp((ledger.now_ms - 4 * DAY_MS) / 1000, UTC).date().isoformat()
    assert (until, len(told), told[0]) == (6, 2, first)
    assert ledger.retainer().run(limits, until).entries == 6
    limits = Cutoffs(ledger.now_ms - DAY_MS)
    until, told = put(ledger, limits.latest_ms, form="parquet")  # it goes on as it began
    assert (until, len(told)) == (9, 1)
    assert ledger.retainer().run(limits, until).entries == 3
    assert ledger.faults() == []
    parts = sorted((ledger.state / "archive").rglob("*.csv"))
    assert [len(part.read_text().splitlines()) - 1 for part in parts] == [3, 3, 3]


def test_what_is_not_archived_stays(ledger):
    until, _ = put(ledger, ledger.now_ms - 3 * DAY_MS)
    assert until == 3
    assert ledger.retainer().run(Cutoffs(ledger.now_ms), until).entries == 3


def test_a_gap_ends_it(ledger):
    put(ledger, ledger.now_ms)
    manifest = load(ledger.state / "archive")
    days = dict(sorted(manifest.partitions.items()))
    del days[sorted(days)[1]]
    with books.reading(ledger.where) as connection:
        until = archived_until(
            connection, ledger.state / "archive", books.replace(manifest, partitions=days)
        )
    assert until == 3


def test_a_file_that_was_changed_proves_nothing(ledger):
    put(ledger, ledger.now_ms)
    part = min((ledger.state / "archive").rglob("*.csv"))
    content = bytearray(part.read_bytes())
    content[-3] ^= 1
    part.write_bytes(content)
    with pytest.raises(ExportError, match="not what was exported"):
        put(ledger, ledger.now_ms)


def test_nothing_to_archive(ledger):
    assert put(ledger, ledger.now_ms - 30 * DAY_MS) == (0, [])
