"""Reload: a policy that may not be in force yet waits. What it takes away does not."""

import asyncio
import logging
from contextlib import asynccontextmanager, suppress

import pytest

from extproc.errors import PolicyError
from extproc.policy.load import load
from extproc.policy.watch import Watch

GUARD_S = 20


def tenants(*names):
    return f"tenants: [{', '.join(f'{{name: {name}}}' for name in names)}]\n"


def names_of(policy):
    return [tenant.name for tenant in policy.tenants]


class Rig:
    """One file, and what was swapped in of it. Policies wait, unless their first tenant is in `may`."""

    def __init__(self, mount):
        self.mount = mount
        self.may, self.asked, self.swapped, self.rejected = set(), [], [], []
        self.refused = "nothing"
        self._news = asyncio.Event()
        mount.mkdir()

    def write(self, *names):
        (self.mount / "a.yaml").write_text(tenants(*names))
        return load([self.mount])

    def swap(self, policy):
        if self.refused in policy.version:
            raise PolicyError(f"cannot be served: {self.refused}")
        self.swapped.append(policy)
        self._news.set()

    def reject(self, error, _version):
        self.rejected.append(str(error))

    async def next(self):
        await self._news.wait()
        self._news.clear()
        return self.swapped[-1]

    async def ready(self, policy):
        self.asked.append(names_of(policy)[0])
        while self.asked[-1] not in self.may:  # noqa: ASYNC110 - a set tells nobody
            await asyncio.sleep(0.01)

    async def has_asked_for(self, name):
        while name not in self.asked:  # noqa: ASYNC110 - it is loaded in a thread
            await asyncio.sleep(0.01)

    def watch(self, in_force, ready=None):
        return Watch([self.mount], in_force, self.swap, self.reject, ready=ready or self.ready)

    @asynccontextmanager
    async def watching(self, in_force):
        async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as group:
            task = group.create_task(self.watch(in_force).run(0.01))
            yield
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path / "policy")


def events(caplog, name):
    return [record for record in caplog.records if record.message == name]


async def test_a_policy_is_swapped_in_once_it_may_be(rig):
    """Nothing is taken away here: until then, nothing changes."""
    async with rig.watching(rig.write("one")):
        rig.write("two", "one")
        await rig.has_asked_for("two")
        await asyncio.sleep(0.05)
        assert not rig.swapped
        rig.may.add("two")
        assert names_of(await rig.next()) == ["two", "one"]
    assert rig.asked == ["two"]
    assert len(rig.swapped) == 1


async def test_what_is_taken_back_while_it_waits_is_never_in_force(rig):
    """A pool that never comes holds up nothing but the policy that wants it."""
    rig.may.add("three")
    async with rig.watching(rig.write("one")):
        rig.write("two", "one")
        await rig.has_asked_for("two")
        rig.write("three", "one")
        assert names_of(await rig.next()) == ["three", "one"]
    assert rig.asked == ["two", "three"]
    assert len(rig.swapped) == 1


async def test_what_cannot_be_waited_for_is_rejected(rig):
    async def ready(_policy):
        raise OSError("gone")

    watching = rig.watch(rig.write("one"), ready)
    rig.write("two")
    for _ in range(4):
        await watching.look()
    assert rig.swapped == []
    assert rig.rejected == ["OSError: gone"]


async def test_what_is_taken_away_does_not_wait(rig, caplog):
    caplog.set_level(logging.INFO)
    before = rig.write("one", "gone")
    async with rig.watching(before):
        now = rig.write("new", "one")
        left = await rig.next()
        assert names_of(left) == ["one"]
        assert left.version == f"{before.version}-{now.version}"
        rig.may.add("new")
        assert names_of(await rig.next()) == ["new", "one"]
    assert rig.swapped[-1].version == now.version
    (narrowed,) = events(caplog, "policy_narrowed")
    assert (narrowed.policy, narrowed.identities) == (left.version, 1)
    assert [each.policy for each in events(caplog, "policy_loaded")] == [now.version]


async def test_one_wait_after_another_takes_away_from_what_is_left(rig):
    """What the first has taken away comes back with a policy that is in force, and not before."""
    rig.may.add("one")
    before = rig.write("one", "first", "second")
    async with rig.watching(before):
        rig.write("a", "one", "second")
        assert names_of(await rig.next()) == ["one", "second"]
        last = rig.write("b", "one", "first")
        left = await rig.next()
        assert names_of(left) == ["one"]
        assert left.version == f"{before.version}-{last.version}"
        rig.write("one", "first", "second")
        back = await rig.next()
    assert names_of(back) == ["one", "first", "second"]
    assert back.version == before.version


async def test_what_need_not_wait_is_swapped_in_once(rig):
    rig.may.add("two")
    watching = rig.watch(rig.write("one", "gone"))
    rig.write("two")
    for _ in range(2):
        await watching.look()
    assert list(map(names_of, rig.swapped)) == [["two"]]


async def test_what_cannot_be_narrowed_waits_whole(rig, caplog):
    before = rig.write("a", "b")
    rig.refused = "-"  # between the versions of a policy and of what was taken from it
    async with rig.watching(before):
        now = rig.write("c", "b")
        await rig.has_asked_for("c")
        while not events(caplog, "policy_not_narrowed"):  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.01)
        rig.may.add("c")
        assert (await rig.next()).version == now.version
    assert len(rig.swapped) == 1
    assert not rig.rejected
