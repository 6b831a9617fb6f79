import asyncio

import pytest

from ledger.follow import follow
from tests.ledger.lines import end
from tests.ledger.test_settle import Process


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path)
    yield process
    process.settler.close()


async def test_follow_settles_what_is_left_before_it_ends(process):
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        followed = tasks.create_task(follow(process.settler, stop, drain_s=60))
        await asyncio.sleep(0.1)
        process.write(*(end(f"s{n}") for n in range(3_000)))
        stop.set()
    assert followed.result() is True
    assert len(process.rows) == 3_000


async def test_follow_says_when_it_could_not_finish(process):
    process.write(end())
    process.ledger.down = True
    stop = asyncio.Event()
    stop.set()
    assert await follow(process.settler, stop, drain_s=0.2) is False


async def test_follow_gets_over_a_ledger_that_was_down(process, caplog):
    caplog.set_level("INFO")
    process.ledger.down = True
    process.write(end())
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        followed = tasks.create_task(follow(process.settler, stop, drain_s=60))
        assert await asyncio.to_thread(process.ledger.refused.wait, 20)
        process.ledger.down = False
        assert await asyncio.to_thread(process.ledger.committed.wait, 20)
        stop.set()
    assert followed.result() is True
    assert "ledger_back" in caplog.messages
