"""Keys from afar: refreshed, rotated, kept when the issuer has a bad day."""

import asyncio
import gc
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.identity import jwks
from extproc.identity.jwks import KeyRing, KeyRings, Source
from extproc.identity.keyset import read_key_set
from tests.issuer import Issuer, make_certificate

GUARD_S = 30
LONG_S = 3600


@asynccontextmanager
async def refreshing(rings):
    """Run the background task."""
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rings.run())
        yield
        task.cancel()


class Told:
    """Keeps what was told, and lets tests wait for it."""

    def __init__(self):
        self.results = []
        self._news = asyncio.Event()

    def __call__(self, issuer, result):
        self.results.append((issuer, result))
        self._news.set()

    async def next(self):
        self._news.clear()
        await self._news.wait()
        return self.results[-1]


def source(issuer, refresh_s=LONG_S):
    return Source("sso", issuer.jwks_url, Path(), refresh_s)


async def filled(ring):
    """Ask until it is: asking once waits for a second at most."""
    while ring.keys is None:
        await ring.refresh()


def kids(ring):
    return [key.kid for key in ring.keys.keys]


async def test_a_ring_is_filled_at_once():
    async with Issuer().serving() as issuer:
        rings = KeyRings()
        ring = rings.ring(source(issuer))
        assert ring.keys is None
        async with refreshing(rings):
            await filled(ring)
            assert kids(ring) == ["key-1"]
            assert not ring.is_stale
            assert issuer.fetches == 1


async def test_one_that_comes_later_too():
    async with Issuer().serving() as issuer:
        rings = KeyRings()
        async with refreshing(rings):
            await asyncio.sleep(0)
            ring = rings.ring(source(issuer))
            await filled(ring)
            assert kids(ring) == ["key-1"]


async def test_rotation_is_followed_in_the_background():
    async with Issuer().serving() as issuer:
        told = Told()
        rings = KeyRings(told)
        ring = rings.ring(source(issuer, refresh_s=0.3))
        async with refreshing(rings):
            await filled(ring)
            before = ring.keys
            await told.next()
            assert ring.keys is before, "what did not change stays the same object"
            issuer.rotate()
            while kids(ring) != ["key-2", "key-1"]:
                await told.next()
            issuer.rotate(keep_old=False)
            while kids(ring) != ["key-3"]:
                await told.next()
        assert set(told.results) == {("sso", "ok")}


@pytest.mark.parametrize("fault", ["garbage", "down", "empty", "huge", "redirect", "error"])
async def test_known_keys_go_on_when_the_issuer_fails(fault, caplog):
    caplog.set_level("INFO")
    async with Issuer().serving() as issuer:
        told = Told()
        rings = KeyRings(told)
        ring = rings.ring(source(issuer, refresh_s=0.2))
        async with refreshing(rings):
            await filled(ring)
            known = ring.keys
            issuer.fault = fault
            while (await told.next())[1] != "failed":
                pass
            await told.next()
            assert ring.is_stale
            assert ring.keys is known
            issuer.fault = None
            while (await told.next())[1] != "ok":
                pass
            assert not ring.is_stale
            assert ring.keys is known
    assert caplog.messages.count("jwks_stale") == 1, "said once, not at each attempt"
    assert caplog.messages.count("jwks_loaded") == 2


async def test_an_issuer_whose_certificate_nobody_vouches_for(tmp_path):
    async with Issuer(certificate=make_certificate(tmp_path)).serving() as issuer:
        told = Told()
        rings = KeyRings(told)
        ring = rings.ring(source(issuer))
        async with refreshing(rings):
            assert await told.next() == ("sso", "failed")
        assert ring.keys is None
        assert issuer.fetches == 0


async def test_a_slow_issuer_holds_up_nobody():
    async with Issuer().serving() as slow, Issuer().serving() as quick:
        slow.fault = "slow"
        rings = KeyRings()
        one, two = rings.ring(source(slow)), rings.ring(source(quick))
        async with refreshing(rings):
            await filled(two)
            assert kids(two) == ["key-1"]
            begun = asyncio.get_running_loop().time()
            await one.refresh()
            waited = asyncio.get_running_loop().time() - begun
            assert one.keys is None
            assert waited >= jwks.WAIT_S * 0.9 or one.is_stale, "given up before, on a slow machine"


async def test_whoever_asks_often_causes_one_fetch():
    async with Issuer().serving() as issuer:
        rings = KeyRings()
        ring = rings.ring(source(issuer))
        async with refreshing(rings):
            await filled(ring)
            ring._begun_s += GUARD_S  # as if it were just now, however long this takes
            for _ in range(50):
                await ring.refresh()
            await asyncio.gather(*(ring.refresh() for _ in range(50)))
            assert issuer.fetches == 1


async def test_a_new_key_is_asked_for_early():
    """The clock of a ring is moved by hand: that it was filled some time ago."""
    async with Issuer().serving() as issuer:
        rings = KeyRings()
        ring = rings.ring(source(issuer))
        async with refreshing(rings):
            await filled(ring)
            issuer.rotate()
            ring._begun_s -= jwks.EARLY_S
            await asyncio.gather(*(ring.refresh() for _ in range(20)))
            while kids(ring) != ["key-2", "key-1"]:
                await ring.refresh()
            assert issuer.fetches == 2


@pytest.mark.parametrize("change", [{"issuer": "renamed"}, {"refresh_s": 60}])
async def test_keys_of_a_place_stay_when_the_policy_says_more_of_it_while_it_is_away(change):
    async with Issuer().serving() as issuer:
        told = Told()
        rings = KeyRings(told)
        here = source(issuer)
        ring = rings.ring(here)
        async with refreshing(rings):
            await filled(ring)
            issuer.fault = "down"
            other = rings.ring(replace(here, **change))
            assert other is not ring
            assert other.keys is ring.keys
            while (await told.next())[1] != "failed":
                pass
            assert other.is_stale
            assert other.keys is ring.keys
            elsewhere = rings.ring(replace(here, url=f"{here.url}/elsewhere"))
            assert elsewhere.keys is None


async def test_a_reload_finds_the_same_ring_and_an_unused_one_goes():
    rings = KeyRings()
    here = Source("sso", "http://127.0.0.1:9/", Path(), 60)
    ring = rings.ring(here)
    assert rings.ring(here) is ring
    assert rings.ring(Source("sso", "http://127.0.0.1:9/", Path(), 61)) is not ring
    del ring
    gc.collect()
    assert len(rings._rings) == 0


async def test_keys_out_of_a_file(tmp_path):
    issuer = Issuer()
    path = tmp_path / "jwks.json"
    told = Told()
    rings = KeyRings(told)
    ring = rings.ring(Source("sso", "", path, 0.2))
    async with refreshing(rings):
        assert await told.next() == ("sso", "failed")
        assert ring.keys is None
        path.write_text(json.dumps(issuer.jwks()))
        while (await told.next())[1] != "ok":
            pass
        assert kids(ring) == ["key-1"]
        path.write_bytes(b"{" * (jwks.MAX_BYTES + 1))
        while (await told.next())[1] != "failed":
            pass
        assert kids(ring) == ["key-1"]


async def test_stopping_leaves_nothing_behind():
    async with Issuer().serving() as issuer:
        issuer.fault = "slow"
        rings = KeyRings()
        ring = rings.ring(source(issuer))
        task = asyncio.get_running_loop().create_task(rings.run())
        await issuer.asked.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert ring.keys is None


def test_a_ring_that_fails_waits_before_it_tries_again():
    ring = KeyRing(Source("sso", "", Path(), LONG_S), asyncio.Event())
    assert ring.begin()
    assert not ring.begin(), "one fetch at a time"
    assert not ring.finish(None)
    assert ring.is_stale
    assert not ring.begin()
    keys = read_key_set(json.dumps(Issuer().jwks()).encode())
    ring._due_s = 0
    assert ring.begin()
    assert ring.finish(keys)
    assert not ring.is_stale
