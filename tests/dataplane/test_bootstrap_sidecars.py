"""The way to a sidecar, through real Envoy: its socket, its errors, and what is left of an answer."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
import pytest_asyncio

from dataplane.gateway import Sidecar
from tests.dataplane.engine import Answer, Engine
from tests.dataplane.stack import run_stack

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


def to(sidecar):
    return {"x-test": json.dumps({"sidecar": sidecar})}


TO_SIDECAR = to("beside")
PATH = "/headgate/v1/usage?by=model&where=tenant%3Dx"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beside():
    """A sidecar, under a second name for which nobody waits, and one more that is not there."""
    folder = Path(tempfile.mkdtemp(prefix="hg-"))
    sidecars = (
        Sidecar("beside", folder / "b.sock", 30),
        Sidecar("hasty", folder / "b.sock", 0.3),
        Sidecar("gone", folder / "g.sock", 30),
    )
    async with Engine(socket=folder / "b.sock") as own, run_stack(sidecars=sidecars) as stack:
        own.stack = stack
        yield own
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def echo(beside):
    beside.answer = None
    beside.requests.clear()


async def get(beside, **headers):
    return await beside.stack.client.get(PATH, headers=TO_SIDECAR | headers)


async def test_a_request_arrives_with_its_query_and_without_credentials(beside):
    answer = await get(beside, **{"authorization": "Bearer k", "x-api-key": "k", "cookie": "c"})
    assert answer.status_code == 200
    (request,) = beside.requests
    assert request["line"] == f"GET {PATH} HTTP/1.1"
    gone = {"authorization", "x-api-key", "cookie", "x-headgate-pool", "x-envoy-external-address"}
    assert not gone & request["headers"].keys()
    assert request["headers"]["x-request-id"] == answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("x-headgate")]


@pytest.mark.parametrize(
    "name", ["x-headgate-tenant", "X-Headgate-Scope", "x_headgate_tenant", "x-headgate-pool"]
)
async def test_nobody_else_says_who_asks(beside, name):
    assert (await get(beside, **{name: "forged"})).status_code == 200
    assert "forged" not in beside.requests[0]["headers"].values()


@pytest.mark.parametrize("size", [0, 3 * 1024 * 1024])
async def test_a_body_passes_unseen(beside, size):
    answer = await beside.stack.client.post(PATH, headers=TO_SIDECAR, content=b"x" * size)
    assert answer.json()["bytes"] == size
    assert beside.stack.worker.bodies == []


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_its_answers_are_not_counted(beside, kind):
    said = b'{"usage": {"prompt_tokens": 7, "completion_tokens": 7}}'
    if kind != "application/json":
        said = b"data: " + said + b"\n\n"
    beside.answer = Answer([said], content_type=kind)
    answer = await get(beside)
    assert answer.content == said
    (entry,) = await beside.stack.log_entries(answer.headers["x-request-id"])
    assert not entry["usage"]
    assert entry["headgate"]["sidecar"] == entry["endpoint"] == "sidecar/beside"


async def test_its_refusals_pass_as_they_are(beside):
    said = b'{"error":{"message":"m","type":"t","param":"by","code":"c"}}'
    beside.answer = Answer([said], status=400)
    answer = await get(beside)
    assert (answer.status_code, answer.content) == (400, said)


async def test_one_that_is_not_there_is_a_503_of_its_own(beside):
    answer = await get(beside, **to("gone"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "service_unavailable"


async def test_one_that_is_silent_is_a_504(beside):
    beside.answer = Answer(headers_pause_s=20)
    answer = await get(beside, **to("hasty"))
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "gateway_timeout"


async def test_what_may_have_begun_is_not_repeated(beside):
    beside.answer = Answer([], is_cut=True)
    answer = await get(beside)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert len(beside.requests) == 1
