import asyncio
import json

import pytest

from extproc.policy.models import Policy
from extproc.stores.known_pools import KnownPools, place_of, read

GUARD_S = 20
POLICY = Policy.model_validate(
    {
        "pools": [
            {"name": "a", "endpoints": ["10.0.0.1:80"]},
            {"name": "b", "upstream": {"url": "https://api.example.com/v1"}},
        ]
    }
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pools.json"


ALL = {"b": "api.example.com:443", "a": ""}
MOVED = {"a": "", "b": "other.example.com:443"}
LOCAL = {"a": "", "b": ""}


@pytest.mark.parametrize("text", [None, "", "{", "7", "[]", b"\xff", json.dumps(ALL | {"c": ""})])
async def test_nobody_waits_where_all_are_known_or_nobody_says(path, text):
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    async with asyncio.timeout(GUARD_S):
        await KnownPools(path, most_s=1e9).wait(POLICY)
    assert KnownPools(path).has(POLICY)


@pytest.mark.parametrize("known", [{}, {"a": ""}, MOVED, LOCAL])
async def test_a_policy_waits_for_its_pools(path, known):
    path.write_text(json.dumps(known))
    waiting = asyncio.ensure_future(KnownPools(path, most_s=1e9).wait(POLICY))
    await asyncio.sleep(0.15)
    assert not waiting.done()
    assert not KnownPools(path).has(POLICY)
    path.write_text(json.dumps(ALL))
    await asyncio.wait_for(waiting, GUARD_S)


async def test_not_for_ever(path, caplog):
    path.write_text(json.dumps({"a": ""}))
    await KnownPools(path, most_s=0).wait(POLICY)
    assert [record.message for record in caplog.records] == ["pools_late"]


@pytest.mark.parametrize("known", [MOVED, LOCAL])
async def test_for_ever_where_a_pool_leads_elsewhere(path, caplog, known):
    """What is sent there was made fit for somebody else."""
    path.write_text(json.dumps(known))
    waiting = asyncio.ensure_future(KnownPools(path, most_s=0).wait(POLICY))
    await asyncio.sleep(0.15)
    assert not waiting.done()
    assert [record.message for record in caplog.records] == ["pools_late"]
    path.write_text(json.dumps(ALL))
    await asyncio.wait_for(waiting, GUARD_S)


def test_the_file(path):
    path.write_text(json.dumps(ALL))
    assert read(path) == ALL
    assert {pool.name: place_of(pool) for pool in POLICY.pools} == ALL


@pytest.mark.parametrize(
    ("known", "contradicts"), [({}, False), ({"a": ""}, False), (ALL, False), (MOVED, True)]
)
async def test_what_is_missing_contradicts_nothing(path, known, contradicts):
    path.write_text(json.dumps(known))
    assert KnownPools(path).contradicts(POLICY) is contradicts
    agreeing = asyncio.ensure_future(KnownPools(path).agree(POLICY))
    await asyncio.sleep(0.1)
    assert agreeing.done() is not contradicts
    path.write_text(json.dumps(ALL))
    await asyncio.wait_for(agreeing, GUARD_S)
