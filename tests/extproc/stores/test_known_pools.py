import asyncio
import json

import pytest

from extproc.policy.models import Policy
from extproc.stores.known_pools import KnownPools, read

GUARD_S = 20
POLICY = Policy.model_validate(
    {
        "pools": [
            {"name": "a", "endpoints": ["10.0.0.1:80"]},
            {"name": "b", "endpoints": ["10.0.0.2:80"]},
        ]
    }
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pools.json"


@pytest.mark.parametrize("text", [None, "", "{", "7", "[]", '["a", "b"]', '["c", "b", "a"]'])
async def test_nobody_waits_where_all_are_known_or_nobody_says(path, text):
    if text is not None:
        path.write_text(text)
    async with asyncio.timeout(GUARD_S):
        await KnownPools(path, most_s=1e9).wait(POLICY)


async def test_a_policy_waits_for_its_pools(path):
    path.write_text('["a"]')
    waiting = asyncio.ensure_future(KnownPools(path, most_s=1e9).wait(POLICY))
    await asyncio.sleep(0.15)
    assert not waiting.done()
    path.write_text('["a", "b"]')
    await asyncio.wait_for(waiting, GUARD_S)


async def test_not_for_ever(path, caplog):
    path.write_text('["a"]')
    await KnownPools(path, most_s=0).wait(POLICY)
    assert [record.message for record in caplog.records] == ["pools_late"]


def test_the_file(path):
    path.write_text(json.dumps(["a", "b"]))
    assert read(path) == {"a", "b"}
