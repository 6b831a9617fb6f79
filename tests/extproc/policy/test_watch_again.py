"""Reload: what comes back, good or bad, is told again; so the last word in the log is the truth."""

import logging

import pytest

from extproc.policy.load import load
from extproc.policy.watch import Watch

GOOD = "tenants: [{{name: {}}}]\n"
BAD = "tenants: [{nmae: two}]\nkeys: none\n"


class Rig:
    """One file `a.yaml`, what was swapped in and what was rejected."""

    def __init__(self, mount):
        self.mount = mount
        self.swapped, self.rejected = [], []
        mount.mkdir()
        self.write(GOOD.format("one"))
        in_force = load([mount])
        self.begun = in_force.version
        self.watch = Watch([mount], in_force, self.swap, self.reject)

    def write(self, text):
        (self.mount / "a.yaml").write_text(text)

    def swap(self, policy):
        self.swapped.append(policy)

    def reject(self, error, version):
        self.rejected.append((str(error), version))

    def names(self):
        return [policy.tenants[0].name for policy in self.swapped]

    async def look(self, times=2):
        for _ in range(times):
            await self.watch.look()


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path / "policy")


@pytest.fixture
def events(caplog):
    """What was logged, as (event, version)."""
    caplog.set_level(logging.INFO)
    return lambda: [(record.message, record.policy) for record in caplog.records]


async def test_another_bad_policy_is_told_even_when_its_mistake_is_the_same(rig):
    for comment in ("", "# that was not it\n"):
        rig.write(BAD + comment)
        await rig.look()
    (one, first), (other, second) = rig.rejected
    assert one == other
    assert first != second


async def test_a_bad_policy_that_is_taken_back_is_mended(rig, events):
    rig.write(BAD)
    await rig.look()
    rig.write(GOOD.format("one"))
    await rig.look()
    assert rig.names() in ([], ["one"]), "the same policy may be swapped for itself"
    assert events()[-1] == ("policy_loaded", rig.begun)
    rig.write(BAD)
    await rig.look()
    assert [said for said, _ in rig.rejected] == [rig.rejected[0][0]] * 2


async def test_what_is_gone_for_a_while_is_told_once_each_time(rig, events):
    aside = rig.mount.with_name("aside")
    for _ in range(2):
        rig.mount.rename(aside)
        await rig.look(4)
        aside.rename(rig.mount)
        await rig.look()
    gone = f"{rig.mount}: No such file or directory"
    assert rig.rejected == [(gone, "")] * 2
    assert events() == [("policy_rejected", ""), ("policy_loaded", rig.begun)] * 2


async def test_a_bad_policy_that_was_gone_for_a_while_is_told_again(rig):
    rig.write(BAD)
    await rig.look()
    (rig.mount / "a.yaml").rename(rig.mount / "a")
    await rig.look()
    (rig.mount / "a").rename(rig.mount / "a.yaml")
    await rig.look()
    bad, gone, again = rig.rejected
    assert again == bad
    assert gone == (f"{rig.mount}: no policy there (no *.yaml file)", "")


@pytest.mark.parametrize(
    "text",
    [
        "tenants: [{name: 2024-13-45}]",
        "salt: !!int abc",
        "tenants: &a [*a]",
        "x: " + "[" * 3000 + "]" * 3000,
        "\x00",
    ],
    ids=["date", "int", "recursive", "deep", "nul"],
)
async def test_no_text_ends_the_watch(rig, text):
    rig.write(text)
    await rig.look()
    assert len(rig.rejected) == 1
    rig.write(GOOD.format("two"))
    await rig.look()
    assert rig.names() == ["two"]
