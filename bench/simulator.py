"""How many streams one engine of `engines.sim` keeps up with: `python -m bench.simulator [--streams 2000]`.

All streams run at once, each with a token every 50 ms. What counts is the CPU time of the engine's
process, and how late tokens came. The reader is a process of its own: it takes bytes off sockets,
counts events in them and reads the clock, nothing else; it needs half a core itself.
Exits with 1 if fewer streams began than were asked for, or some ended too early.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from array import array
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import cast

import msgspec
import uvloop

from bench.procfs import cpu_s, waited_s
from bench.stats import percentile

ITL_MS = 50
"""Between two tokens of a stream: an 8B model on an L4, or a busy larger GPU."""
BEGIN_S = 40.0
"""Until all streams have begun, at most."""
SETTLE_S = 2.0
"""After that, for the engine to have done with reading requests."""


@dataclass(frozen=True)
class Seen:
    """What came within the time that was measured."""

    begun: int
    """Streams that had their first token before it."""
    streams: int
    """Those that were still under way when it was over."""
    began_within_s: float
    """From the first connection to the first token of the last stream, or to giving up on it."""
    seconds: float
    cpu_s: float
    """Of the engine's process."""
    waited_s: float
    """In which the engine's process could have run, and others had the cores."""
    late_s: Sequence[float]
    """Of each token, sorted: after the plan of its stream, see `Reader`."""

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.seconds


@dataclass
class Tally:
    """Shared by all readers of a run."""

    wanted: int
    itl_s: float
    begun: int = 0
    ended: int = 0
    is_counting: bool = False
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)


class Reader(asyncio.Protocol):
    """One stream. The token that came earliest, for its place, tells when all the others were due."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request, self._tally = request, tally
        self._tokens, self._earliest_s = 0, inf
        self._begins_s = array("d")
        """When the stream had begun, judged by each token that was counted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """One event per token."""
        tally, now_s, events = self._tally, time.monotonic(), data.count(b"data: {")
        if not events:
            return
        if not self._tokens:
            tally.begun += 1
            if tally.begun == tally.wanted:
                tally.all_begun.set()
        for _ in range(events):
            begin_s = now_s - self._tokens * tally.itl_s
            self._tokens += 1
            self._earliest_s = min(self._earliest_s, begin_s)
            if tally.is_counting:
                self._begins_s.append(begin_s)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._tally.ended += 1

    def late_s(self) -> Iterable[float]:
        return (begin_s - self._earliest_s for begin_s in self._begins_s)


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
    with subprocess.Popen(  # noqa: S603 - our own engine
        argv,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Linux shares cores out between sessions: not between it and us
    ) as child:
        try:
            told = child.stdout.readline() if child.stdout else b""
            yield child.pid, int(told.rpartition(b":")[2])
        finally:
            child.terminate()


async def read(
    pid: int,
    port: int,
    streams: int,
    seconds: float,
    settle_s: float = SETTLE_S,
    begin_s: float = BEGIN_S,
) -> Seen:
    """Have so many streams at once, and look at them for a while. Raises: OSError."""
    loop, tally = asyncio.get_running_loop(), Tally(streams, ITL_MS / 1000)
    # As many tokens as there is time for: none may end before it is over.
    asked = request(round((begin_s + settle_s + seconds) / tally.itl_s))
    readers, transports = list[Reader](), list[asyncio.Transport]()

    def join() -> Reader:
        readers.append(Reader(asked, tally))
        return readers[-1]

    opened_s = time.monotonic()
    try:
        for _ in range(streams):
            transports.append((await loop.create_connection(join, "127.0.0.1", port))[0])
        with suppress(TimeoutError):
            await asyncio.wait_for(tally.all_begun.wait(), begin_s)
        begun, began_s = tally.begun, time.monotonic()
        await asyncio.sleep(settle_s)
        before_s, cpu_before_s, waited_before_s = time.monotonic(), _cpu_s(pid), waited_s(pid)
        tally.is_counting = True
        await asyncio.sleep(seconds)
        tally.is_counting = False
        passed_s = time.monotonic() - before_s
        return Seen(
            begun,
            tally.begun - tally.ended,
            began_s - opened_s,
            passed_s,
            _cpu_s(pid) - cpu_before_s,
            waited_s(pid) - waited_before_s,
            sorted(late_s for reader in readers for late_s in reader.late_s()),
        )
    finally:
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0.01)  # the loop closes them now, and the engine need not drain


def _cpu_s(pid: int) -> float:
    return cpu_s({"engine": pid})["engine"]


def report(seen: Seen, wanted: int) -> list[str]:
    """What was seen, line by line."""
    tokens = len(seen.late_s)
    late = (
        f"p{share * 100:.0f} {_ms(percentile(seen.late_s, share))}" for share in (0.5, 0.95, 0.99)
    )
    return [
        f"{seen.begun} of {wanted} streams began, within {seen.began_within_s:.1f} s",
        f"{seen.streams} under way, {tokens / seen.seconds:.0f} tokens/s, one per {ITL_MS} ms each",
        f"engine: {seen.share:.0%} of a core, {seen.cpu_s / tokens * 1e6:.1f} us per token",
        f"others had the cores it wanted for {seen.waited_s / seen.seconds:.0%} of the time",
        f"late: {', '.join(late)}, most {_ms(seen.late_s[-1])}",
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def main(args: Sequence[str], begin_s: float = BEGIN_S) -> int:
    """Print what was seen. Exit code: 1 if that is not what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulator")
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(args)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with engine() as (pid, port):
        began_s = time.process_time()
        seen = uvloop.run(read(pid, port, options.streams, options.seconds, begin_s=begin_s))
        reading_s = time.process_time() - began_s
    if seen.late_s:
        sys.stdout.write("\n".join(report(seen, options.streams)))
        sys.stdout.write(f"\nreader: {reading_s:.1f} s of CPU, all in all\n")
    if seen.streams == options.streams:
        return 0
    missing = f"only {seen.begun} of {options.streams} streams began within {begin_s:g} s"
    sys.stderr.write(f"bench.simulator: {missing}, {seen.streams} of them lasted\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
