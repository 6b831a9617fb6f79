"""One request as a client makes it, and what it saw. Never tries again: what is asked twice cannot be
counted once."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import msgspec

from faults.answer import Answer, End
from faults.mix import Ask

PATIENCE_S = 60.0
"""A guard against hanging: no answer here takes 5 s."""
SAID = 200
SENT = "http11.send_request_body.complete"
"""What httpx calls that moment."""


class Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Document(msgspec.Struct):
    """An answer, or one event of it."""

    usage: Usage | None = None


_read = msgspec.json.Decoder(Document).decode


@dataclass(slots=True)
class Seen:
    """What has been seen so far."""

    status: int | None = None
    usage: Usage = field(default_factory=Usage)
    said: str = ""

    def note(self, text: bytes | str) -> None:
        self.usage = _read(text).usage or self.usage


async def ask(client: httpx.AsyncClient, ask: Ask) -> Answer:
    """Send it, and tell how it went; nothing that the gateway does raises."""
    seen = Seen()
    sent_s = time.monotonic()
    try:
        end = await _go(client, ask, seen)
    except httpx.ConnectError as fault:
        end, seen.said = End.REFUSED, repr(fault)
    except httpx.TimeoutException as fault:
        end, seen.said = End.HUNG, repr(fault)
    except httpx.TransportError as fault:
        end, seen.said = (End.LOST if seen.status is None else End.CUT), repr(fault)
    return Answer(
        request_id=ask.request_id,
        shape=ask.shape.name,
        tenant=ask.tenant,
        sent_s=sent_s,
        ended_s=time.monotonic(),
        end=end,
        status=seen.status,
        prompt_tokens=seen.usage.prompt_tokens,
        completion_tokens=seen.usage.completion_tokens,
        said=seen.said[:SAID],
    )


async def _go(client: httpx.AsyncClient, ask: Ask, seen: Seen) -> End:
    try:
        async with asyncio.timeout(None) as patience:
            return await _exchange(client, ask, seen, patience)
    except TimeoutError:
        return End.LEFT


async def _exchange(
    client: httpx.AsyncClient, ask: Ask, seen: Seen, patience: asyncio.Timeout
) -> End:
    shape = ask.shape

    async def trace(event: str, _: Mapping[str, object]) -> None:
        # Who leaves before it has sent everything may never have been heard.
        if event == SENT and shape.leaves_s:
            patience.reschedule(asyncio.get_running_loop().time() + shape.leaves_s)

    method, body = ("POST", shape.body) if shape.body else ("GET", None)
    async with client.stream(
        method, shape.path, json=body, headers=ask.headers, extensions={"trace": trace}
    ) as answer:
        seen.status = answer.status_code
        if shape.streams and answer.status_code == 200:
            return await _follow(answer, shape.leaves_after, seen)
        text = await answer.aread()
    if seen.status == 200:
        seen.note(text)
    else:
        seen.said = text.decode(errors="replace")
    return End.WHOLE


async def _follow(answer: httpx.Response, leaves_after: int, seen: Seen) -> End:
    """Read a stream to its end, or for as many events as this client stays."""
    events, done = 0, False
    async for line in answer.aiter_lines():
        if not line.startswith("data: "):
            continue
        if line == "data: [DONE]":
            done = True
            continue
        seen.note(line.removeprefix("data: "))
        events += 1
        if events == leaves_after:
            return End.LEFT
    return End.WHOLE if done else End.CUT
