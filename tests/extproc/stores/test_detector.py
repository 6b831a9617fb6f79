"""A detector of names over HTTP: asked in time, believed only where it makes sense, left alone when down."""

import asyncio
import json

import pytest
from aiohttp import web

from extproc.errors import DetectorError
from extproc.policy.base import Secret
from extproc.policy.pii import DetectorPolicy
from extproc.safety.pii.finding import Finding
from extproc.stores.detector import MOST_BYTES, RANK, DetectorClient, read
from extproc.stores.services import PAUSE_S
from tests.extproc.stores.serving import serving

TYPES = frozenset({"person"})


@pytest.fixture
async def client():
    client = DetectorClient()
    yield client
    await client.close()


PATIENT_MS = 60_000
"""Longer than a policy may say: what answers shall be heard on a busy machine as well."""


def policy(url, timeout_ms=PATIENT_MS, **members):
    return DetectorPolicy(url=url, **members).model_copy(update={"timeout_ms": timeout_ms})


async def test_it_is_asked_and_answers(client):
    seen = []

    async def handle(request):
        seen.append((await request.json(), request.headers.get("authorization")))
        return web.json_response(
            {
                "findings": [
                    [
                        {"type": "person", "start": 0, "end": 4, "score": 0.9},
                        {"type": "city", "start": 5, "end": 6},
                    ],
                    [],
                ]
            }
        )

    token = Secret(env="T")
    token.found("secret")
    async with serving(handle) as url:
        found = await client.at(policy(url, token=token)).find(["Mona x", "\ud83d"])
    assert found == [[Finding("person", 0, 4, RANK)], []]
    asked = {"texts": ["Mona x", "?"], "types": ["person", "organization"]}
    assert seen == [(asked, "Bearer secret")]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"findings": []}',
        b'{"findings": [[{"type": "person", "start": 0, "end": 9}]]}',
        b'{"findings": [[{"type": "person", "start": -1, "end": 1}]]}',
        b'{"findings": [[{"type": "person", "start": 1, "end": 1}]]}',
        b"\xff",
    ],
)
def test_what_makes_no_sense_is_a_fault(raw):
    with pytest.raises(DetectorError):
        read(raw, ["Mona"], TYPES)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=500), "answered 500"),
        (web.Response(body=b" " * (MOST_BYTES + 1)), "more than"),
    ],
)
async def test_other_answers(client, answer, said):
    async def handle(_request):
        return answer

    async with serving(handle) as url:
        with pytest.raises(DetectorError, match=said):
            await client.at(policy(url)).find(["Mona"])


async def test_it_has_a_deadline(client):
    async def handle(_request):
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handle) as url:
        with pytest.raises(DetectorError, match="no answer within 50 ms"):
            await client.at(policy(url, timeout_ms=50)).find(["Mona"])


async def test_one_that_is_down_is_left_alone_for_a_while(client):
    asked, now_s, fine = [], [100.0], [False]

    async def handle(request):
        asked.append(json.loads(await request.text()))
        return web.json_response({"findings": [[]]}, status=200 if fine[0] else 503)

    async with serving(handle) as url:
        detector = client.at(policy(url))
        detector._service._clock = lambda: now_s[0]
        for _ in range(5):
            with pytest.raises(DetectorError):
                await detector.find(["Mona"])
        assert len(asked) == 3
        now_s[0] += PAUSE_S
        with pytest.raises(DetectorError, match="503"):
            await detector.find(["Mona"])
        with pytest.raises(DetectorError, match="left alone"):
            await detector.find(["Mona"])
        now_s[0] += PAUSE_S
        fine[0] = True
        assert await detector.find(["Mona"]) == [[]]
        assert await detector.find(["Mona"]) == [[]]
        assert len(asked) == 6


async def test_nobody_there(client):
    with pytest.raises(DetectorError):
        await client.at(policy("http://127.0.0.1:9/find")).find(["Mona"])
