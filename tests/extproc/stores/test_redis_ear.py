"""Calls from a real server: heard, also those that came while nobody listened."""

import asyncio

from extproc.limits.base import Place
from extproc.limits.queue import name_of
from extproc.stores import redis_ear
from extproc.stores.redis_address import read_url
from extproc.stores.redis_ear import open_ear

HANG_S = 30.0
PLACE = Place("slots:acme", "batch", "k1", "w1", 3, "a tenant")


def call(valkey, place, worker="w1"):
    packed = f"{place.line}\0{place.priority}\0{name_of(place)}"
    valkey.order("RPUSH", f"{{x}}:c:{worker}", packed)


async def heard_by(ear, count):
    heard = []
    ear.hear = heard.append
    async with asyncio.timeout(HANG_S):
        while len(heard) < count:  # noqa: ASYNC110 - they come from outside
            await asyncio.sleep(0.005)
    return heard


async def test_it_hears_what_is_for_its_worker(valkey):
    async with open_ear(read_url(valkey.url), "{x}:") as ear:
        ear.open("w1")
        call(valkey, PLACE, "w2")
        call(valkey, PLACE)
        assert await heard_by(ear, 1) == [PLACE]


async def test_what_came_before_it_listened_is_not_lost(valkey):
    call(valkey, PLACE)
    async with open_ear(read_url(valkey.url), "{x}:") as ear:
        ear.open("w1")
        assert await heard_by(ear, 1) == [PLACE]


async def test_it_mends_itself(valkey):
    async with open_ear(read_url(valkey.url), "{x}:") as ear:
        ear.open("w1")
        call(valkey, PLACE)
        await heard_by(ear, 1)
        valkey.order("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        call(valkey, PLACE)
        assert await heard_by(ear, 1) == [PLACE]


async def test_what_is_no_list_is_no_end(valkey):
    valkey.order("SET", "{x}:c:w1", "nonsense")
    async with open_ear(read_url(valkey.url), "{x}:") as ear:
        ear.open("w1")
        await asyncio.sleep(0.05)
        valkey.order("DEL", "{x}:c:w1")
        call(valkey, PLACE)
        assert await heard_by(ear, 1) == [PLACE]


async def test_it_does_not_connect_before_somebody_waits(valkey):
    before = valkey.order("CLIENT", "LIST").count("id=")
    async with open_ear(read_url(valkey.url), "{x}:"):
        await asyncio.sleep(0.05)
        assert valkey.order("CLIENT", "LIST").count("id=") == before


async def test_without_a_server_it_tries_again(tmp_path):
    async with open_ear(read_url(f"unix://{tmp_path}/none.sock"), "{x}:") as ear:
        ear.open("w1")
        await asyncio.sleep(2 * redis_ear.PAUSE_S)
