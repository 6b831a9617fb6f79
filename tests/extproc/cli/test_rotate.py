"""A full log is set aside whole, and only the newest few are kept."""

import pytest

from extproc.cli.rotate import KEPT, rotate


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.jsonl"
    path.write_text("x" * 100)
    return path


async def reopen_nothing():
    pass


async def test_a_log_that_is_not_full_stays(log):
    assert not await rotate(log, reopen_nothing, 101)
    assert log.read_text() == "x" * 100


async def test_no_log_is_no_fault(tmp_path):
    assert not await rotate(tmp_path / "none", reopen_nothing, 0)


async def test_it_is_renamed_before_it_is_reopened(log):
    seen = []

    async def reopen():
        seen.append(log.exists())
        log.write_text("")

    assert await rotate(log, reopen, 100)
    assert seen == [False]
    (aside,) = log.parent.glob("access.jsonl.*")
    assert aside.read_text() == "x" * 100
    assert log.read_text() == ""


async def test_the_oldest_go(log):
    for number in range(KEPT + 3):
        log.write_text(str(number))
        assert await rotate(log, reopen_nothing, 1)
    kept = sorted(path.read_text() for path in log.parent.glob("access.jsonl.*"))
    assert kept == [str(number) for number in range(3, KEPT + 3)]
