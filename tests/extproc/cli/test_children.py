"""What is told of a child that could not start, and what becomes of what one that crashed has started."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from extproc.cli.children import Child, ChildError, Command

GUARD_S = 30


async def test_a_child_that_ends_is_told_by_what_it_has_said_itself(tmp_path):
    """And not by what another said in the same file, perhaps yesterday."""
    log = tmp_path / "worker-0.log"
    log.write_text("ready, yesterday\n")
    program = (sys.executable, "-c", "raise SystemExit('no such server')")
    child = Child(Command("worker-0", program, dict(os.environ), log))

    async def never():
        return False

    await child.start()
    with pytest.raises(ChildError) as told:
        await child.ready(never, 30)
    assert str(told.value) == "worker-0 ended at once.\n    no such server"
    await child.stop(1)


@pytest.fixture
def leaver(tmp_path):
    """A child that ends at once, like a server that crashes, and leaves a process of its own behind."""
    pids = tmp_path / "pids"
    program = ("sh", "-c", f"sleep 600 & echo $! >> {pids}")
    yield Child(Command("engine-0", program, dict(os.environ), tmp_path / "log")), pids
    for pid in left(pids):
        os.kill(pid, signal.SIGKILL)


def left(pids):
    """Those of them that run."""
    known = pids.read_text().split() if pids.exists() else []
    return [int(pid) for pid in known if runs(pid)]


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def true(check):
    async with asyncio.timeout(GUARD_S):
        while not check():  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(0.01)


async def test_what_a_child_that_crashed_has_left_ends_with_the_stop(leaver):
    child, pids = leaver

    async def never():
        return False

    await child.start()
    with pytest.raises(ChildError):
        await child.ready(never, GUARD_S)
    assert left(pids)
    await child.stop(1)
    await true(lambda: not left(pids))


async def test_what_a_child_that_crashed_has_left_ends_before_the_next_one_starts(leaver):
    child, pids = leaver
    await child.start()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.keep())
        await true(lambda: pids.exists() and len(pids.read_text().split()) > 1)
        first = pids.read_text().split()[0]
        await true(lambda: not runs(first))
        await child.stop(1)
    await true(lambda: not left(pids))
