import hashlib

import pytest

from ledger.manifest import (
    NAME,
    ExportError,
    Head,
    Manifest,
    Part,
    Partition,
    fingerprint,
    load,
    save,
)

PART = Part(
    "entries/date=2026-01-31/part-0000.csv", 2, 10, "00", 1, 2, 2, 3, 4, 5, "0.1", {"2026-01-30": 2}
)
MANIFEST = Manifest(
    "csv", "UTC", ("a",), partitions={"2026-01-31": Partition(True, (PART,))},
    chains={"": Head(2, "ff")},
)  # fmt: skip


def test_what_was_saved_is_loaded(tmp_path):
    assert load(tmp_path) is None
    save(tmp_path, MANIFEST)
    assert load(tmp_path) == MANIFEST
    assert b'\n  "chains"' in (tmp_path / NAME).read_bytes()


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": "orc", "tz": "UTC", "columns": []}', "\xff"]
)
def test_what_is_no_manifest(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ExportError, match="no manifest of ours"):
        load(tmp_path)


def test_a_manifest_of_another_version(tmp_path):
    save(tmp_path, Manifest("csv", "UTC", (), version=9))
    with pytest.raises(ExportError, match="version 9"):
        load(tmp_path)


def test_where_to_go_on():
    assert MANIFEST.partitions["2026-01-31"].last_seq == 2
    assert Partition(False).last_seq == 0


def test_fingerprint(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert fingerprint(tmp_path / "f") == (3, hashlib.sha256(b"abc").hexdigest())
