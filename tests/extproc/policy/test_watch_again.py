"""Reload: what comes back, good or bad, is told again; so the last word in the log is the truth."""

import logging
from functools import partial

import pytest

from extproc.errors import PolicyError
from extproc.policy.load import load, load_sources
from extproc.policy.secrets import SecretReader
from extproc.policy.watch import FIRST_PAUSE, Watch

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


SERVICE = "services: [{{name: rag, token: {{file: {}}}}}]\n"


async def test_a_secret_that_comes_later_than_the_policy_is_found(rig, tmp_path, events):
    """Kubernetes brings a ConfigMap and a Secret each in its own time."""
    secret = tmp_path / "token"
    in_force = load([rig.mount])
    read = partial(load_sources, secrets=SecretReader({}))
    watching = Watch([rig.mount], in_force, rig.swap, rig.reject, read)
    rig.write(GOOD.format("two") + SERVICE.format(secret))
    for _ in range(2 + FIRST_PAUSE):
        await watching.look()
    ((said, version),) = rig.rejected
    assert "missing or empty" in said
    secret.write_text("0123456789abcdefghij")
    for _ in range(2 * FIRST_PAUSE):
        await watching.look()
    assert rig.names() == ["two"]
    assert len(rig.rejected) == 1, "the same is told once"
    assert events() == [("policy_rejected", version), ("policy_loaded", version)]


async def test_what_stays_wrong_is_tried_ever_more_seldom(rig):
    tries = []

    def refuse(_policy):
        tries.append(None)
        raise PolicyError(f"no room, {len(tries) // 2}")

    watching = Watch([rig.mount], load([rig.mount]), refuse, rig.reject)
    rig.write(GOOD.format("two"))
    at = []
    for look in range(2 + 7 * FIRST_PAUSE):
        await watching.look()
        at += [look] * (len(tries) - len(at))
    first = at[0]
    assert [each - first for each in at] == [0, FIRST_PAUSE, 3 * FIRST_PAUSE, 7 * FIRST_PAUSE]
    said = [said for said, _ in rig.rejected]
    assert said == ["no room, 0", "no room, 1", "no room, 2"], "what is new is told"
