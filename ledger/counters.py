"""What engines say they have done: their token counters, read from /metrics.

Names and meaning are vLLM's, which the built-in engine shares: `vllm:prompt_tokens_total` counts
prompts when they are computed, cached tokens included, once for each answer asked for;
`vllm:generation_tokens_total` counts every token generated. One series for each engine of a
data-parallel server; they are added up.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping

import aiohttp
import msgspec

from ledger.config import Endpoint

DEADLINE_S = 1.5
"""Of all scrapes together, which run side by side. An engine that takes longer is met again at the
next look; a process that stops does not wait longer for this."""
MAX_BYTES = 4 * 1024 * 1024
"""Of one answer: vLLM's is some 100 kB."""

_PROMPT = b"vllm:prompt_tokens_total"
_COMPLETION = b"vllm:generation_tokens_total"
_STARTED = b"process_start_time_seconds"


class NoCountersError(ValueError):
    """An answer without the counters, or with ones that are no numbers."""


class Counters(msgspec.Struct, frozen=True):
    """What an engine has counted since it started."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    started_s: float | None = None
    """When its process started, by its own clock: seconds since the epoch. None is not said: vLLM
    with several API servers does not."""


class Scrape(msgspec.Struct, frozen=True):
    """Counters as they were at some moment between two."""

    began_ms: int
    ended_ms: int
    counters: Counters


def read_counters(text: bytes) -> Counters:
    """Find the counters in the text format, classic or OpenMetrics. Raises NoCountersError."""
    found: dict[bytes, list[float]] = {_PROMPT: [], _COMPLETION: [], _STARTED: []}
    for line in text.splitlines():
        for name, values in found.items():
            # Not a longer name that begins the same.
            if line.startswith(name) and line[len(name) : len(name) + 1] in (b"{", b" "):
                values.append(_value(line))
    if not found[_PROMPT] or not found[_COMPLETION]:
        raise NoCountersError(
            "it has no vllm:prompt_tokens_total or no vllm:generation_tokens_total"
        )
    return Counters(
        prompt_tokens=int(sum(found[_PROMPT])),
        completion_tokens=int(sum(found[_COMPLETION])),
        started_s=max(found[_STARTED]) if found[_STARTED] else None,
    )


def _value(line: bytes) -> float:
    """Take the value of a sample; label values may hold spaces and braces, and a time may follow."""
    try:
        value = float(line[line.rfind(b"}") + 1 :].split()[0 if b"}" in line else 1])
    except (ValueError, IndexError):
        raise NoCountersError("a counter without a number") from None
    if not math.isfinite(value) or value < 0:
        raise NoCountersError("a counter that is no count")
    return value


async def scrape_all(endpoints: Iterable[Endpoint]) -> Mapping[str, Scrape | str]:
    """Ask every engine, all at once: its counters by its address, or why there are none."""
    connector = aiohttp.TCPConnector(force_close=True, limit=64)
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as tasks,
    ):
        scrapes = {e.address: tasks.create_task(_scrape(session, e)) for e in endpoints}
    return {address: task.result() for address, task in scrapes.items()}


async def _scrape(session: aiohttp.ClientSession, endpoint: Endpoint) -> Scrape | str:
    url = f"http://{endpoint.address}{endpoint.metrics_path}"
    began_ms = time.time_ns() // 1_000_000
    try:
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return f"status {answer.status}"
            text = await answer.content.read(MAX_BYTES)
            while len(text) < MAX_BYTES and (more := await answer.content.read(MAX_BYTES)):
                text += more
    except TimeoutError:
        return f"no answer within {DEADLINE_S:g} s"
    except (aiohttp.ClientError, OSError) as fault:
        return type(fault).__name__
    try:
        counters = read_counters(text)
    except NoCountersError as fault:
        return str(fault)
    return Scrape(began_ms, time.time_ns() // 1_000_000, counters)
