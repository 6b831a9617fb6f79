"""Count to the token: `python -m faults.count --requests 100000`.

Every kind of request that ends whole, as fast as the gateway takes them; then the ledger must equal the
engines' own counters. Exit code 0: it does.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import monotonic, perf_counter

from bench.connection import Connection
from bench.procfs import cpu_s
from faults.books import Books, Served
from faults.mix import COMPLETIONS, EMBEDDED, EMBEDDINGS, STREAM, chat, completion, paced
from faults.run import reading
from faults.stand import Stand, StandError, Tokens
from ledger.store import LedgerError

CHAT = "/v1/chat/completions"
AT_ONCE = {"x_sim": paced(0, 0)}
ASKED: Sequence[tuple[str, Mapping[str, object]]] = (
    (CHAT, chat(12, **AT_ONCE)),
    (CHAT, chat(6, n=2, **AT_ONCE)),
    (CHAT, chat(8, **AT_ONCE, **STREAM)),
    (CHAT, chat(4, n=3, **AT_ONCE, **STREAM)),
    (COMPLETIONS, completion(10, **AT_ONCE)),
    (COMPLETIONS, completion(8, **AT_ONCE, **STREAM)),
    (EMBEDDINGS, {**EMBEDDED, **AT_ONCE}),
)
"""Each connection asks one of these again and again."""
HANG_S = 60.0
"""Longest time without a single answer."""
TELL_S = 10.0
CAUGHT_UP_S = 60.0


class CountError(Exception):
    """A request failed that should not have."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was asked, what the engines counted, what the ledger says."""

    requests: int
    seconds: float
    settled_s: float
    """From the last answer until the ledger had everything."""
    settle_cpu_s: float
    engines: Mapping[str, Tokens]
    served: Mapping[str, Served]
    size_bytes: int

    @property
    def is_exact(self) -> bool:
        booked = {endpoint: served.tokens for endpoint, served in self.served.items()}
        plain = all(served.doubtful == 0 for served in self.served.values())
        whole = sum(served.requests for served in self.served.values()) == self.requests
        return whole and plain and booked == dict(self.engines)


class Counter:
    """A closed loop that asks so many times and not once more."""

    def __init__(self, port: int, requests: int) -> None:
        self.answered = 0
        self._port = port
        self._requests = requests
        self._asked = 0
        self._open: list[Connection] = []
        self._bad: int | None = None

    async def run(self, connections: int, say: Callable[[str], None]) -> None:
        """Raises: CountError."""
        loop = asyncio.get_running_loop()
        try:
            for asked in islice(cycle(ASKED), connections):
                make = partial(Connection, http_request(*asked), self._ask_again)
                _, connection = await loop.create_connection(make, "127.0.0.1", self._port)
                self._open.append(connection)
                self._ask(connection)
            await self._until_answered(say)
        finally:
            for connection in self._open:
                connection.close()

    def _ask(self, connection: Connection) -> None:
        if self._asked < self._requests:
            self._asked += 1
            connection.ask(perf_counter())

    def _ask_again(self, connection: Connection) -> None:
        self.answered += 1
        if connection.reader.status != 200:
            self._bad = connection.reader.status
        self._ask(connection)

    async def _until_answered(self, say: Callable[[str], None]) -> None:
        told_s = moved_s = monotonic()
        before = told = 0
        while self.answered < self._requests:
            await asyncio.sleep(0.05)
            now_s = monotonic()
            if self._bad is not None:
                raise CountError(f"a request was answered with {self._bad}")
            if fault := next((c.fault for c in self._open if c.fault), None):
                raise CountError(str(fault))
            if self.answered > before:
                before, moved_s = self.answered, now_s
            elif now_s - moved_s > HANG_S:
                raise CountError(f"no answer for {HANG_S:g} s")
            if now_s - told_s > TELL_S:
                rate = (self.answered - told) / (now_s - told_s)
                say(f"{self.answered} of {self._requests} answered, {rate:.0f} per second")
                told_s, told = now_s, self.answered


def http_request(path: str, body: Mapping[str, object]) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: headgate\r\nAuthorization: Bearer sk-headgate-acme\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def count(root: Path, requests: int, connections: int, say: Callable[[str], None]) -> Counted:
    """Raises: CountError, StandError, LedgerError."""
    with Stand.running(root / "s") as stand, reading(str(stand.layout.ledger)) as books:
        settle = {"settle": stand.settle_pids()[0]}
        counter = Counter(stand.port, requests)
        begun_s, cpu_before_s = monotonic(), cpu_s(settle)["settle"]
        await counter.run(connections, say)
        ended_s = monotonic()
        say("waiting for the ledger")
        await until_settled(books, requests)
        settled_s = monotonic()
        engines, served = stand.engine_tokens(), books.served()
        settle_cpu_s = cpu_s(settle)["settle"] - cpu_before_s
    # The last one to leave has written the whole ledger into one file.
    return Counted(
        requests=requests,
        seconds=ended_s - begun_s,
        settled_s=settled_s - ended_s,
        settle_cpu_s=settle_cpu_s,
        engines=engines,
        served=served,
        size_bytes=stand.layout.ledger.stat().st_size,
    )


async def until_settled(books: Books, requests: int) -> None:
    until_s = monotonic() + CAUGHT_UP_S
    while books.totals()["request"].requests < requests:
        if monotonic() > until_s:
            return  # the comparison will tell
        await asyncio.sleep(0.5)


def tell(counted: Counted) -> str:
    rate = counted.requests / counted.seconds
    size_bytes = counted.size_bytes / counted.requests
    cpu_us = counted.settle_cpu_s / counted.requests * 1e6
    lines = [
        f"{counted.requests} requests in {counted.seconds:.1f} s, {rate:.0f} per second",
        f"all in the ledger {counted.settled_s:.1f} s after the last answer",
        f"ledger: {size_bytes:.0f} bytes and {cpu_us:.0f} us of CPU for each request",
    ]
    for endpoint, tokens in counted.engines.items():
        served = counted.served.get(endpoint)
        lines.append(f"engine {endpoint} counted {tokens}")
        lines.append(f"ledger {endpoint} says    {served.tokens if served else 'nothing'}")
    lines.append("equal to the token" if counted.is_exact else f"NOT EQUAL: {counted.served}")
    return "\n".join(lines)


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    requests: int
    connections: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.count", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=28, help="at once (28)")
    flags = parser.parse_args(arguments, namespace=Flags())
    begun_s = monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"[{monotonic() - begun_s:4.0f} s] {text}\n")

    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as root:
            counted = asyncio.run(count(Path(root), flags.requests, flags.connections, say))
    except (CountError, StandError, LedgerError, OSError) as fault:
        sys.stderr.write(f"faults.count: {fault}\n")
        return 2
    sys.stdout.write(tell(counted) + "\n")
    return 0 if counted.is_exact else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
