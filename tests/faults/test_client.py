"""The client over a transport that answers by script: what it writes down for each kind of end."""

import asyncio

import httpx
import pytest

from faults.answer import End
from faults.client import SENT, ask
from faults.mix import BY_NAME, Ask

USED = '{"usage": {"prompt_tokens": 5, "completion_tokens": %d}}'
REQUEST = httpx.Request("POST", "http://h/")


class Script(httpx.AsyncByteStream):
    """Sends these parts; raises those that are exceptions, waits as many seconds as a number says."""

    def __init__(self, *parts):
        self._parts = parts

    async def __aiter__(self):
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                yield part.encode()


def event(count):
    return f"data: {USED % count}\n\n"


async def seen(shape, *parts, status=200, instead=None):
    async def answer(request):
        assert request.headers["x-request-id"] == "t-1"
        await request.extensions["trace"](SENT, {})
        if instead:
            raise instead
        return httpx.Response(status, stream=Script(*parts))

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(base_url="http://h", transport=transport) as client:
        got = await ask(client, Ask("t-1", BY_NAME[shape], "acme"))
    return got.end, got.status, got.prompt_tokens, got.completion_tokens


CUT = httpx.RemoteProtocolError("incomplete", request=REQUEST)
TABLE = {
    "an answer": ("chat", [USED % 9], (End.WHOLE, 200, 5, 9)),
    "an answer cut": ("chat", ['{"usa', CUT], (End.CUT, 200, None, None)),
    "a stream": ("chat stream", [event(1), event(2), "data: [DONE]\n\n"], (End.WHOLE, 200, 5, 2)),
    "a stream cut": ("chat stream", [event(1), event(2), CUT], (End.CUT, 200, 5, 2)),
    "a stream without its end": ("chat stream", [event(1), event(2)], (End.CUT, 200, 5, 2)),
    "left midway": ("leaves midway", [event(n) for n in range(1, 99)], (End.LEFT, 200, 5, 6)),
    "left early": ("leaves before the first token", [9.0], (End.LEFT, 200, None, None)),
}


@pytest.mark.parametrize(("shape", "parts", "what"), TABLE.values(), ids=TABLE)
async def test_ends(shape, parts, what):
    assert await seen(shape, *parts) == what


async def test_refused_by_the_gateway():
    said = await seen("chat stream", '{"error": {}}', status=503)
    assert said == (End.WHOLE, 503, None, None)


@pytest.mark.parametrize(
    ("instead", "end"),
    [
        (httpx.ConnectError("refused", request=REQUEST), End.REFUSED),
        (httpx.ReadError("reset", request=REQUEST), End.LOST),
        (httpx.ReadTimeout("slow", request=REQUEST), End.HUNG),
    ],
)
async def test_no_answer(instead, end):
    assert await seen("chat", instead=instead) == (end, None, None, None)
