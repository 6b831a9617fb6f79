"""A full log is set aside whole; the oldest ones go when the ledger has them."""

import pytest

from extproc.cli.rotate import KEPT, KEPT_BYTES, ROOM_BYTES, ROTATE_S, AccessLog, free_bytes
from ledger.store import LedgerError
from tests.ledger.lines import START_MS, end


async def reopen_nothing():
    pass


def all_of_them(paths):
    return paths


def nothing_yet(_):
    return []


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "access.jsonl"
    path.write_text("x" * 100)
    return path


def log_at(path, reopen=reopen_nothing, finished=all_of_them):
    return AccessLog(path, reopen, finished)


def aside(path):
    return sorted(path.parent.glob("access.jsonl.*"))


async def test_a_log_that_is_not_full_stays(path):
    assert not await log_at(path).rotate(101)
    assert path.read_text() == "x" * 100


async def test_a_log_that_is_a_day_old_is_set_aside(path):
    path.write_bytes(end() + b"\n" + end(start_ms=0))
    now_s = START_MS / 1000 + ROTATE_S
    young, old = (
        AccessLog(path, reopen_nothing, all_of_them, lambda s=s: s) for s in (now_s, now_s + 1)
    )
    assert not await young.rotate()
    assert await old.rotate()
    path.write_bytes(b"")
    assert not await old.rotate()


async def test_no_log_is_no_fault(tmp_path):
    log = log_at(tmp_path / "none")
    assert not await log.rotate(0)
    assert not log.take_room()


async def test_it_is_renamed_before_it_is_reopened(path):
    seen = []

    async def reopen():
        seen.append(path.exists())
        path.write_text("")

    assert await log_at(path, reopen).rotate(100)
    assert seen == [False]
    (old,) = aside(path)
    assert old.read_text() == "x" * 100
    assert path.read_text() == ""


async def test_who_did_not_listen_is_asked_again(path):
    """Else Envoy writes on into the renamed file, which nobody ever sets aside."""
    asked = []

    async def reopen():
        asked.append(len(asked))
        if len(asked) == 1:
            raise OSError("busy")
        path.write_text("new")

    log = log_at(path, reopen)
    with pytest.raises(OSError, match="busy"):
        await log.rotate(1)
    assert not await log.rotate(1)
    assert path.read_text() == "new"
    assert len(asked) == 2


async def fill(path, log, times):
    for number in range(times):
        path.write_text(str(number))
        assert await log.rotate(1)
    return [old.read_text() for old in aside(path)]


async def test_the_oldest_go(path):
    kept = await fill(path, log_at(path), KEPT + 3)
    assert kept == [str(number) for number in range(3, KEPT + 3)]


async def test_a_gigabyte_is_enough(path):
    log = log_at(path)
    for number in range(6):
        with path.open("wb") as file:
            file.truncate(KEPT_BYTES // 4 + number // 4)
        assert await log.rotate(1)
    assert len(aside(path)) == 3
    with path.open("wb") as file:
        file.truncate(2 * KEPT_BYTES)
    assert await log.rotate(1)
    assert len(aside(path)) == 1


async def test_what_is_not_in_the_ledger_stays(path):
    kept = await fill(path, log_at(path, finished=nothing_yet), KEPT + 3)
    assert kept == [str(number) for number in range(KEPT + 3)]


async def test_a_ledger_that_cannot_be_asked_needs_them_all(path):
    def gone(_):
        raise LedgerError("away")

    assert len(await fill(path, log_at(path, finished=gone), KEPT + 2)) == KEPT + 2


async def test_room_is_taken_ahead_and_given_back(path):
    log = log_at(path)
    before = path.stat().st_blocks
    if not log.take_room():
        return  # this file system cannot; then nothing is different
    assert path.stat().st_blocks * 512 >= min(ROOM_BYTES, free_bytes(path) // 4)
    assert path.read_text() == "x" * 100
    with path.open("a") as file:
        file.write("y")
    assert path.read_text() == "x" * 100 + "y"
    await log.rotate(1)
    path.write_text("z")
    await log.rotate(1)
    oldest = aside(path)[0]
    assert oldest.read_text() == "x" * 100 + "y"
    assert oldest.stat().st_blocks <= before


async def test_free_bytes(path):
    assert free_bytes(path) > 0
