"""How many streams one engine of `engines.sim` keeps up with: `python -m bench.simulator [--streams 2000]`.

All streams run at once, each with a token every 50 ms. What counts is the CPU time of the engine's
process, and how far apart tokens came. The reader is a process of its own: it takes bytes off
sockets, counts events in them and reads the clock, nothing else; it needs half a core itself.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import msgspec
import uvloop

from bench.procfs import cpu_s
from bench.stats import percentile

ITL_MS = 50
"""Between two tokens of a stream: an 8B model on an L4, or a busy larger GPU."""
BEGIN_S = 40.0
"""Until all streams have begun, at most."""
SETTLE_S = 2.0
"""After that, for the engine to have done with writing answers."""
AT_ONCE = 50
"""Requests sent in a row before the engine gets the time to answer some."""


@dataclass(frozen=True)
class Seen:
    """What came within the time that was measured."""

    streams: int
    """That were under way."""
    seconds: float
    cpu_s: float
    """Of the engine's process."""
    gaps_s: Sequence[float]
    """Between two tokens of a stream, sorted; one for each event."""

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.seconds


@dataclass
class Tally:
    """Shared by all readers of a run."""

    wanted: int
    begun: int = 0
    ended: int = 0
    is_counting: bool = False
    gaps_s: list[float] = field(default_factory=list[float])
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request, self._tally, self._last_s = request, tally, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """One event per token; those that came together are as many gaps, all but one of nothing."""
        tally, now_s, events = self._tally, time.monotonic(), data.count(b"data: {")
        if not events:
            return
        if not self._last_s:
            tally.begun += 1
            if tally.begun == tally.wanted:
                tally.all_begun.set()
        elif tally.is_counting:
            tally.gaps_s.append(now_s - self._last_s)
            tally.gaps_s.extend([0.0] * (events - 1))
        self._last_s = now_s

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._tally.ended += 1


def request(tokens: int) -> bytes:
    """Ask for a stream of so many tokens, and for the connection to be closed after it."""
    body = msgspec.json.encode(
        {"prompt": "Go on.", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    )
    head = "POST /v1/completions HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n"
    return (
        f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


@contextmanager
def engine(itl_ms: float = ITL_MS) -> Generator[tuple[int, int]]:
    """Run one. Its process id and its port."""
    argv = (sys.executable, "-m", "engines.sim", "--port", "0", "--itl-ms", str(itl_ms))
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:  # noqa: S603 - our own engine
        try:
            told = child.stdout.readline() if child.stdout else b""
            yield child.pid, int(told.rpartition(b":")[2])
        finally:
            child.terminate()


async def read(
    pid: int, port: int, streams: int, seconds: float, settle_s: float = SETTLE_S
) -> Seen:
    """Have so many streams at once, and look at them for a while. Raises: OSError."""
    loop, tally = asyncio.get_running_loop(), Tally(streams)
    # As many tokens as there is time for: none may end before it is over.
    asked = request(round(1000 * (BEGIN_S + settle_s + seconds) / ITL_MS))
    transports = list[asyncio.BaseTransport]()
    try:
        for number in range(streams):
            made = await loop.create_connection(lambda: Reader(asked, tally), "127.0.0.1", port)
            transports.append(made[0])
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(ITL_MS / 1000)
        with suppress(TimeoutError):
            await asyncio.wait_for(tally.all_begun.wait(), BEGIN_S)
        await asyncio.sleep(settle_s)
        began_s, before_s, tally.is_counting = time.monotonic(), cpu_s({"engine": pid}), True
        await asyncio.sleep(seconds)
        spent_s = cpu_s({"engine": pid})["engine"] - before_s["engine"]
        tally.is_counting = False
        passed_s = time.monotonic() - began_s
    finally:
        for transport in transports:
            cast("asyncio.Transport", transport).abort()
    return Seen(tally.begun - tally.ended, passed_s, spent_s, sorted(tally.gaps_s))


def main(args: Sequence[str]) -> None:
    """Print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulator")
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(args)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with engine() as (pid, port):
        began_s = time.process_time()
        seen = uvloop.run(read(pid, port, options.streams, options.seconds))
        reading_s = time.process_time() - began_s
    events = len(seen.gaps_s)
    print(f"{seen.streams} streams, {events / seen.seconds:.0f} events/s; nominal gap {ITL_MS} ms")
    print(f"engine: {seen.share:.0%} of a core, {seen.cpu_s / events * 1e6:.1f} us per event")
    print(f"reader: {reading_s:.1f} s of CPU")
    for share in (0.5, 0.95, 0.99):
        print(f"gap p{share * 100:.0f} {percentile(seen.gaps_s, share) * 1000:.1f} ms")


if __name__ == "__main__":
    main(sys.argv[1:])
