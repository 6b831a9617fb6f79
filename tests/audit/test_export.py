import json
from itertools import pairwise

import pytest

from audit.export import OVER_MS, Export, export
from audit.manifest import SUFFIX
from audit.trim import Trimmer
from ledger.manifest import ExportError
from tests.audit.stores import DAY_MS, START_MS, auditing, fill

MIDNIGHT_MS = START_MS - START_MS % DAY_MS


def export_all(audit, directory, now_ms=START_MS + 90 * DAY_MS, **wish):
    told = []
    done = export(
        audit.database, audit.signer, Export(directory, now_ms=now_ms, **wish), told.append
    )
    return done, [sheet.file for sheet in told]


@pytest.fixture
def audit(where, tmp_path):
    fill(where, tmp_path)
    with auditing(where, tmp_path) as made:
        yield made


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_file_for_each_day_that_is_never_written_again(audit, tmp_path, form):
    done, told = export_all(audit, tmp_path / "out", form=form)
    assert told == [f"2025-10-{day:02}-0000.{form}" for day in range(9, 14)]
    assert [(sheet.first_seq, sheet.last_seq) for sheet in done] == [
        (1, 6), (7, 12), (13, 18), (19, 24), (25, 33)
    ]  # fmt: skip
    assert all(one.head == two.previous for one, two in pairwise(done))
    files = [path for path in (tmp_path / "out").iterdir() if path.name != ".lock"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}
    assert len(files) == 10
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    assert export_all(audit, tmp_path / "out", form=form) == (done, [])
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


def test_a_line_is_what_the_record_says(audit, tmp_path):
    export_all(audit, tmp_path / "out")
    first = json.loads((tmp_path / "out" / "2025-10-09-0000.jsonl").read_text().splitlines()[0])
    assert (first["seq"], first["action"], first["actor"]) == (1, "pii.masked", "key-0")
    assert first["members"] == {"count": 0, "type": "EMAIL é\n"}


def test_a_day_that_is_not_over_waits(audit, tmp_path):
    day_over_ms = MIDNIGHT_MS + 2 * DAY_MS + OVER_MS
    assert len(export_all(audit, tmp_path / "out", now_ms=day_over_ms - 1)[1]) == 1
    assert len(export_all(audit, tmp_path / "out", now_ms=day_over_ms)[1]) == 1


def test_a_day_that_is_not_over_can_be_had_in_pieces(audit, tmp_path):
    now_ms = MIDNIGHT_MS + 4 * DAY_MS + 1000
    assert len(export_all(audit, tmp_path / "out", now_ms=now_ms, partial=True)[1]) == 5
    audit.now_s = START_MS / 1000 + 4 * 86_400
    audit.write(50)
    _, told = export_all(audit, tmp_path / "out", now_ms=now_ms, partial=True)
    assert told == ["2025-10-13-0001.jsonl"]


def test_what_a_killed_run_left_without_a_manifest_is_taken(audit, tmp_path):
    _, told = export_all(audit, tmp_path / "out")
    (tmp_path / "out" / f"2025-10-13-0000{SUFFIX}").unlink()
    assert export_all(audit, tmp_path / "out")[1] == told[-1:]


def test_another_file_in_the_way_is_not_touched(audit, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2025-10-09-0000.jsonl").write_text("mine")
    with pytest.raises(ExportError, match="something else"):
        export_all(audit, tmp_path / "out")


def test_records_that_are_gone_leave_a_gap_that_is_told(audit, tmp_path):
    now_ms = MIDNIGHT_MS + 2 * DAY_MS
    export_all(audit, tmp_path / "out", now_ms=now_ms)
    Trimmer(audit.database, audit.signer).trim(MIDNIGHT_MS + 3 * DAY_MS)
    with pytest.raises(ExportError, match="records 7 to 18 were deleted"):
        export_all(audit, tmp_path / "out")
    done, _ = export_all(audit, tmp_path / "other")
    assert done[0].first_seq == 19


def test_nothing_is_nothing(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        assert export_all(audit, tmp_path / "out") == ([], [])
