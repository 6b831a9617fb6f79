"""Reload: a good policy is swapped in, a bad one changes nothing, and nothing half is ever seen."""

import asyncio
import gc
import logging
import os
from contextlib import asynccontextmanager, suppress

import pytest

from extproc.errors import PolicyError
from extproc.policy.load import load, load_sources, read_all, version_of
from extproc.policy.watch import Watch

GUARD_S = 20
GOOD = "tenants: [{{name: {}}}]\n"


class Swaps:
    """Keeps what was swapped in and what was rejected."""

    def __init__(self):
        self.policies, self.rejected = [], []
        self.news = asyncio.Event()

    def swap(self, policy):
        self.policies.append(policy)
        self.news.set()

    def reject(self, error, version):
        self.rejected.append((str(error), version))
        self.news.set()

    async def next(self):
        await self.news.wait()
        self.news.clear()

    @property
    def names(self):
        return [policy.tenants[0].name for policy in self.policies]


@pytest.fixture
def swaps():
    return Swaps()


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy"
    path.mkdir()
    (path / "a.yaml").write_text(GOOD.format("one"))
    return path


def watch(directory, swaps, swap=None):
    return Watch([directory], load([directory]), swap or swaps.swap, swaps.reject)


async def look(watching, times=2):
    """Twice is what it takes to believe."""
    for _ in range(times):
        await watching.look()


def events(caplog, name):
    return [record for record in caplog.records if record.message == name]


async def test_the_collector_rests_while_a_policy_loads_and_no_longer(policy, swaps):
    """It stopped all else for up to 0.8 s while 20 000 keys were read."""
    collected = []

    def read(sources):
        collected.append(gc.isenabled())
        return load_sources(sources)

    gc.enable()
    watching = Watch([policy], load([policy]), swaps.swap, swaps.reject, read)
    for text in (GOOD.format("two"), "tenants: none\n"):
        (policy / "a.yaml").write_text(text)
        await look(watching)
        assert gc.isenabled()
    assert collected == [False, False]
    assert (swaps.names, len(swaps.rejected)) == (["two"], 1)


async def test_a_bad_policy_changes_nothing_and_a_good_one_is_swapped_in(policy, swaps, caplog):
    caplog.set_level(logging.INFO)
    watching = watch(policy, swaps)
    (policy / "a.yaml").write_text("tenants: [{nmae: two}]\nkeys: none\n")
    await look(watching)
    assert swaps.policies == []
    ((said, version),) = swaps.rejected
    assert "tenants[0].nmae" in said
    assert "keys" in said, "all mistakes at once"
    assert version == version_of(read_all([policy]))

    (policy / "a.yaml").write_text(GOOD.format("three"))
    await look(watching)
    assert swaps.names == ["three"]
    assert swaps.policies[0].version == load([policy]).version
    (rejected,) = events(caplog, "policy_rejected")
    assert (rejected.error, rejected.policy) == (said, version)
    assert [each.policy for each in events(caplog, "policy_loaded")] == [swaps.policies[0].version]


async def test_nothing_new_is_nothing_to_do(policy, swaps):
    watching = watch(policy, swaps)
    await look(watching, 5)
    (policy / "a.yaml").write_text(GOOD.format("two"))
    await look(watching, 5)
    assert swaps.names == ["two"]
    assert swaps.rejected == []


async def test_a_file_half_written_is_never_in_force(policy, swaps):
    """An editor empties a file before it fills it; a policy without keys would refuse everybody."""
    watching = watch(policy, swaps)
    (policy / "a.yaml").write_text("")
    await watching.look()
    (policy / "a.yaml").write_text(GOOD.format("two"))
    await watching.look()
    assert swaps.policies == []
    await watching.look()
    assert swaps.names == ["two"]
    assert swaps.rejected == []


async def test_a_file_away_for_a_moment_is_no_mistake(policy, swaps, caplog):
    watching = watch(policy, swaps)
    (policy / "a.yaml").rename(policy / "aside")
    await watching.look()
    (policy / "aside").rename(policy / "a.yaml")
    await look(watching, 3)
    assert swaps.policies == swaps.rejected == caplog.records == []


async def test_what_is_taken_back_at_once_never_was(policy, swaps):
    watching = watch(policy, swaps)
    for name in ("two", "one", "two", "one"):
        (policy / "a.yaml").write_text(GOOD.format(name))
        await watching.look()
    assert swaps.policies == []


async def test_a_config_map_is_swapped_by_its_link(tmp_path, swaps):
    """Kubernetes: `a.yaml -> ..data/a.yaml`, `..data -> ..TIME`, and the second link is renamed."""
    mount = tmp_path / "policy"
    mount.mkdir()
    for time, name in (("..2026_01", "old"), ("..2026_02", "new")):
        (mount / time).mkdir()
        (mount / time / "a.yaml").write_text(GOOD.format(name))
    (mount / "..data").symlink_to("..2026_01")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    assert load([mount]).tenants[0].name == "old"
    watching = watch(mount, swaps)
    (mount / "..data_tmp").symlink_to("..2026_02")
    (mount / "..data_tmp").rename(mount / "..data")
    await look(watching)
    assert swaps.names == ["new"]


async def test_what_is_gone_for_a_while_is_told_once_and_changes_nothing(policy, swaps, tmp_path):
    watching = watch(policy, swaps)
    policy.rename(tmp_path / "aside")
    await look(watching, 4)
    assert swaps.policies == []
    ((said, version),) = swaps.rejected
    assert said == f"{policy}: No such file or directory"
    assert version == "", "nobody knows"
    (tmp_path / "aside").rename(policy)
    await look(watching)
    assert swaps.names == ["one"], "it is taken again, for whoever asks whether all is well"


async def test_a_name_that_is_not_utf_8_is_a_mistake_and_no_end(policy, swaps):
    """As of an editor, or an archive, with another encoding."""
    watching = watch(policy, swaps)
    strange = policy / os.fsdecode(b"schl\xfcssel.yaml")
    strange.write_text(GOOD.format("two"))
    await look(watching, 4)
    ((said, version),) = swaps.rejected
    assert (said, version) == (f"{policy}/schl\\udcfcssel.yaml: the name is not UTF-8", "")
    strange.rename(policy / "b.yaml")
    await look(watching)
    assert [len(each.tenants) for each in swaps.policies] == [2]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (PolicyError("two cannot be served"), "two cannot be served"),
        (OSError("disk full"), "OSError: disk full"),
        (KeyError("a bug of ours"), "KeyError: 'a bug of ours'"),
    ],
)
async def test_what_cannot_be_assembled_is_rejected_once_and_harms_nobody(
    policy, swaps, fault, said
):
    def refuse(_policy):
        raise fault

    watching = watch(policy, swaps, refuse)
    (policy / "a.yaml").write_text(GOOD.format("two"))
    await look(watching, 4)
    assert swaps.rejected == [(said, version_of(read_all([policy])))]


async def test_requests_are_served_while_a_policy_loads(policy, swaps):
    """Loading is in a thread: the loop turns meanwhile."""
    many = "".join(f"  - name: t{n}\n" for n in range(3000))
    watching = watch(policy, swaps)
    (policy / "a.yaml").write_text(f"tenants:\n{many}")
    await watching.look()
    turns = 0

    async def serve():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve())
        await watching.look()
        serving.cancel()
    assert swaps.names == ["t0"]
    assert turns > 10


@asynccontextmanager
async def running(watching, interval_s):
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as group:
        task = group.create_task(watching.run(interval_s))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_looks_by_itself_and_soon_again_when_something_moves(policy, swaps):
    async with running(watch(policy, swaps), 0.3):
        (policy / "a.yaml").write_text(GOOD.format("two"))
        await swaps.next()
        (policy / "a.yaml").write_text("tenants: {}\n")
        await swaps.next()
    assert swaps.names == ["two"]
    assert len(swaps.rejected) == 1
