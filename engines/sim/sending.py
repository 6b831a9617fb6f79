"""How an answer leaves: at its pace, and broken where the request asked for it.

What is overdue leaves in one write, still as separate events.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice

from aiohttp import web

from engines.sim.faults import Fault, Kind
from engines.sim.pace import Pace

# Enough to keep system calls rare, and what a socket takes without blocking.
_BATCH_BYTES = 1 << 16

_BODY_FAULTS = (Kind.CUT_AFTER_HEADERS, Kind.CUT_AFTER, Kind.DRIP)


class CutError(Exception):
    """The connection has to be closed here; whoever holds it does so."""


async def hold(fault: Fault | None, pace: Pace) -> None:
    """The faults that come before any answer: wait as long as a token would take, then cut."""
    if fault and fault.kind in (Kind.HANG, Kind.CUT_BEFORE_HEADERS):
        await pace.until(0)
        raise CutError


async def send_events(
    out: web.StreamResponse,
    events: Iterable[tuple[int, bytes]],
    pace: Pace,
    fault: Fault | None = None,
) -> None:
    """Write events, each when its step is due.

    Raises CutError where the fault ends the stream, or when the client has left: a write may find that
    out before this is cancelled.
    """
    try:
        await _send_with(out, events, pace, fault)
    except ConnectionResetError:
        raise CutError from None


async def _send_with(
    out: web.StreamResponse, events: Iterable[tuple[int, bytes]], pace: Pace, fault: Fault | None
) -> None:
    match fault:
        case Fault(kind=Kind.CUT_AFTER | Kind.CUT_AFTER_HEADERS, amount=amount):
            await _send_batches(out, islice(events, amount), pace)
            raise CutError
        case Fault(kind=Kind.DRIP, amount=amount):
            for step, event in events:
                if not pace.is_due(step):
                    await pace.until(step)
                await _drip(out, event, amount)
        case _:
            await _send_batches(out, events, pace)


async def send_body(http: web.Request, body: bytes, fault: Fault | None) -> web.StreamResponse:
    """Answer with a JSON body. Raises CutError where the fault ends it."""
    if fault is None or fault.kind not in _BODY_FAULTS:
        return json_answer(body)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    out = web.StreamResponse(headers=headers)
    await out.prepare(http)
    if fault.kind is Kind.DRIP:
        await _drip(out, body, fault.amount)
        return out
    if fault.amount:
        await out.write(body[: fault.amount])
    raise CutError


def json_answer(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def hang_up(http: web.Request) -> None:
    """Close the connection after what was written so far: no end of body, no further answer."""
    if http.transport is not None:
        http.transport.close()


async def _send_batches(
    out: web.StreamResponse, events: Iterable[tuple[int, bytes]], pace: Pace
) -> None:
    batch: list[bytes] = []
    batched_bytes = 0
    for step, event in events:
        is_due = pace.is_due(step)
        if batch and not (is_due and batched_bytes <= _BATCH_BYTES):
            await out.write(b"".join(batch))
            batch.clear()
            batched_bytes = 0
        if not is_due:
            await pace.until(step)
        batch.append(event)
        batched_bytes += len(event)
    if batch:
        await out.write(b"".join(batch))


async def _drip(out: web.StreamResponse, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await out.write(data[start : start + size])
        await asyncio.sleep(0)  # else the loop joins the writes of one turn
