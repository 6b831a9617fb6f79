import pytest
from msgspec import json, structs

from ledger.snapshot import (
    MANIFEST,
    BackupError,
    Snapshot,
    check,
    choose,
    digest,
    name_of,
    prune,
    read,
    read_all,
    sync,
)

EMPTY = Snapshot(1, 0, 2, 0, "", 0, 0, {}, {}, ())


def make(directory, *times):
    for at_ms in times:
        path = directory / name_of(at_ms)
        path.mkdir(parents=True)
        (path / MANIFEST).write_bytes(json.encode(structs.replace(EMPTY, at_ms=at_ms)))
        (path / "ledger.sqlite").touch()


def times(backups):
    return [backup.snapshot.at_ms for backup in backups]


def test_names_sort_as_time_goes():
    assert name_of(1_760_000_000_123) == "2025-10-09T08-53-20.123Z"
    assert name_of(1_760_000_000_009) < name_of(1_760_000_000_010) < name_of(1_760_000_001_000)


def test_the_last_one_or_the_last_before_a_time(tmp_path):
    make(tmp_path, 3000, 1000, 2000)
    for at_ms, chosen, later in (
        (None, 3000, []),
        (2500, 2000, [3000]),
        (1000, 1000, [2000, 3000]),
    ):
        backup, after = choose(tmp_path, at_ms)
        assert (backup.snapshot.at_ms, times(after)) == (chosen, later)
    with pytest.raises(BackupError, match="no backup from before that time"):
        choose(tmp_path, 999)
    with pytest.raises(BackupError, match="there is no backup in"):
        choose(tmp_path / "nothing", None)


def test_one_that_is_named_is_taken(tmp_path):
    make(tmp_path, 1000, 2000)
    named = tmp_path / name_of(1000)
    backup, later = choose(named, None)
    assert (backup.path, times(later)) == (named, [2000])
    with pytest.raises(BackupError, match="made later"):
        choose(tmp_path / name_of(2000), 1500)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it has no manifest"),
        (b"{", "is no backup"),
        (b"\xff", "is no backup"),
        (json.encode(structs.replace(EMPTY, version=9)), "version 9; this program reads 1"),
    ],
)
def test_what_is_no_backup(tmp_path, content, why):
    if content is not None:
        (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BackupError, match=why):
        read(tmp_path)


def test_files_are_what_the_manifest_says(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    check(path, digest(path))
    sync(path)
    for spoil in (lambda: path.write_bytes(b"y"), path.unlink):
        good = digest(path)
        spoil()
        with pytest.raises(BackupError, match=r"SHA-256|cannot be read"):
            check(path, good)
        path.write_bytes(b"x")


def test_the_oldest_and_what_is_broken_are_thrown_away(tmp_path):
    make(tmp_path, 1000, 2000, 3000)
    (tmp_path / ".partial-1").mkdir()
    (tmp_path / "other").mkdir()
    gone = prune(tmp_path, 2)
    assert [path.name for path in gone] == [name_of(1000)]
    assert times(read_all(tmp_path)) == [2000, 3000]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [name_of(2000), name_of(3000), "other"]
    )
    prune(tmp_path, 0)
    assert times(read_all(tmp_path)) == [3000]
